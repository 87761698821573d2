# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Orthophotos of the facets of a map, from the images of a recording.

Other rooms use ``making`` (make them), ``folder`` (the folder that they replace at once) and ``index`` (what was made).
"""
