# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Association of the lines of a frame with mapped cracks: candidates, alignment of the frame, parallel lines.

``crack_map`` uses it: ``view_lines`` prepares the lines of a frame, ``matching`` assigns them to the cracks.
"""
