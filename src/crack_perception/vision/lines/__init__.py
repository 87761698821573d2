# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines in images: ridges, tracing, centre lines and widths."""
