# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Persistent map of cracks from the observations of single frames: association, fusion, storage, export.

Other rooms use ``growing_map`` (update a map), ``observation`` (its input), ``mapped_crack`` (its result),
``settings``, ``footprint`` and ``inspected_areas``, and the folders ``storage``, ``evidence``, ``coverage`` and
``export``.
"""
