# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulated camera: geometry of the view, rendering through the lens, and the sensor."""
