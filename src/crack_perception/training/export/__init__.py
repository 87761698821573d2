# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Model files: ONNX graphs, model cards, TensorFlow Lite and TensorRT input.

:func:`card.write_model` writes a model folder and :func:`model_graph.tile_model` its graph; :func:`tflite.tflite_model`
and :func:`engine_graph.engine_graph` convert a finished graph.
"""
