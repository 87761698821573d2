# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Positions of pixels in the map with covariance: cameras, poses, surfaces and the projection between them.

Pure functions of arrays and dataclasses, without ROS. Other rooms use ``projection`` and ``line_lifting`` (regions and
lines on the surface), ``camera.models`` and ``camera.calibration``, and the modules of ``poses`` and ``surface``.
"""
