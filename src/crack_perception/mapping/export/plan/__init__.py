# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Engineering drawing of the crack map: the surfaces unfolded on one sheet.

Other rooms use ``facade_plan`` (the whole plan) and, for drawings of their own, ``surfaces``, ``facets``, ``layout``,
``facet_drawing``, ``shapes`` and ``svg``.
"""
