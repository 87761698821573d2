# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Coverage of the surfaces: what was inspected at which resolution, and the camera poses that settle the rest.

Other rooms use ``coverage`` (update and read), ``view`` (its input), ``surface_grid`` and ``resolution`` (its result)
and ``revisit`` (camera poses).
"""
