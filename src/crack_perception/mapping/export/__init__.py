# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map as files for other programs: GeoJSON, CSV, summaries of cracks, and the plan.

Other rooms use ``crack_report`` (figures of a crack), ``geojson``, ``csv_table``, ``table_rows``, ``geographic`` (place
on the earth) and ``plan``.
"""
