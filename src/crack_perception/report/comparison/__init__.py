# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Comparison of two surveys of one structure.

Other rooms use ``files`` (compare two map files), ``changes`` (the result), ``alignment``, and ``page``,
``document`` and ``drawing`` (what is written of it).
"""
