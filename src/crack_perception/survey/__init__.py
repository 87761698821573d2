# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Many recordings through the core of the nodes: detections as Parquet, a map per structure, an index page, queries.

Nothing is detected, lifted or mapped here: ``recordings`` feeds recorded messages to the node's frame processing and
``structure_map`` feeds its observations to the crack map.
"""
