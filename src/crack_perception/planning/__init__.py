# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Planning of flights on the ground: distance, speed and time for a crack width, and missions for autopilots.

Nothing here runs on the drone. Other rooms use ``calculator`` (before a flight), ``mission`` and ``legs`` (a second
flight) and ``cameras`` (cameras by name).
"""
