# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulated flights along walls with known cracks, written as bags with ground truth.

Other rooms use ``flight.settings`` and ``flight.simulation`` (simulate a bag), ``flight.truth`` (read its ground
truth), ``flight.presets`` and ``wall.crack_rendering`` (draw cracks of known width).
"""
