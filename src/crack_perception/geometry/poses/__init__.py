# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses over time: histories of stamped poses, the tree of transforms, covariances and checks.

Other rooms use ``pose`` (a pose), ``motion`` (a moving pose, plausible motion), ``buffer`` and ``transform_tree`` (the
pose at a stamp), ``history``, ``checks`` (of axes), and ``px4``, ``boot_clock`` and ``gimbal`` (conventions of PX4).
"""
