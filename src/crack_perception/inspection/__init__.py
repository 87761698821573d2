# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Results of one frame on the surface and in the map: severity, size, location, observation and evidence.

Pure functions of arrays and dataclasses, shared by the node and by the verbs that map without ROS. Other rooms use
``analysis`` (a frame), ``observation`` (input of the map) and ``evidence`` (photographs worth keeping).
"""
