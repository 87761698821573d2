# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Accuracy metrics of classifiers, detections, crack lines and the crack map, on arrays and dataclasses alone.

For other rooms: ``accuracy.measure_accuracy``, ``map_accuracy.measure_map`` and the functions of ``classification``.
"""
