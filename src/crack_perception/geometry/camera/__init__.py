# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera models, lens distortion, checks of camera_info, and motion of the view.

Other rooms use ``models`` (pixels and rays), ``calibration`` and ``calibration_file`` (from messages and YAML) and
``view_motion``.
"""
