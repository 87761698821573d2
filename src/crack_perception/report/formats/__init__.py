# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One module for each kind of file: tables, GIS, CAD, and annotations of the photographs. ``writing`` calls them."""
