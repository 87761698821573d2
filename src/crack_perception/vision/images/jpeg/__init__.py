# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""JPEG bytes: their segments, damage that a decoder would conceal by grey areas, and decoding.

Other modules use ``segments`` (header of a picture) and ``decoding`` (pixels, or what is damaged).
"""
