# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surface geometry: measured ranges, planes from depth or the map, and planes estimated in flight.

Other rooms use ``plane``, ``range`` and ``scan`` (one measurement), ``map_planes`` (known planes) and ``learnt`` (the
plane estimated from past ranges).
"""
