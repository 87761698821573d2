# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack maps from photographs with poses: readers of poses and surfaces, analysis on all cores, map and evidence.

Other rooms use ``recording`` (the photographs of a folder with cameras and poses) and ``mapping_run``.
"""
