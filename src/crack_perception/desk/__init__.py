# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page: a local web page on which people decide about the cracks of a map (ground station only).

Other rooms use ``opened_map`` and ``server`` (open and serve a map) and ``tiles`` (cut labelled tiles out
of its photographs).
"""
