# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines in images: ridges, tracing, centrelines and widths.

Other rooms use ``measurement`` (the lines of a region) and ``line`` (its result).
"""
