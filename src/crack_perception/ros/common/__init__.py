# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parts that all nodes use: lifecycle, parameters, QoS profiles, diagnostics, health and message conversions.

Modules without ``rclpy`` in their imports, such as ``stamps`` and ``health``, also work where no ROS is installed.
"""
