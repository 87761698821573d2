# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The PDF and the HTML page: their contents as plain values, their pictures, and the two writers.

``prepared`` collects the contents, ``pdf`` and ``html`` write them with the ``options``.
"""
