# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which mapped crack each line of a frame shows: candidates, alignment of the frame, parallel lines."""
