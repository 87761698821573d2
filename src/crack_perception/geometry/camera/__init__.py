# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera models, lens distortion, checks of camera_info, and motion of the view."""
