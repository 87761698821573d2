# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images: encodings, tiling, regions, lines and annotation; arrays in, arrays out.

Other rooms use ``tiling`` (tiles of a frame), ``regions`` (cracked tiles that touch), ``annotate`` (drawing),
``images`` (files and encodings), ``lines`` (centrelines and widths) and ``marks`` (cracks that people marked).
"""
