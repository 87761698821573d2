# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses over time: histories of stamped poses, the tree of transforms, covariances and checks."""
