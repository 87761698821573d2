# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Accuracy of a model on labelled images, computed through the runtime of the node.

:func:`report.evaluate_model` is the entry point and produces the results of a model card; the other modules each
compute one part of it. Only :mod:`left_out_sources` needs scikit-learn and onnx.
"""
