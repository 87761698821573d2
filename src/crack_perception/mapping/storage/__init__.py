# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map on disk: an SQLite file and files that are written atomically.

Other rooms use ``snapshot`` (read a map, also while it is written), ``database`` (write it) and ``atomic_file``;
``map_file`` is the public reader.
"""
