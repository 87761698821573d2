# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Mapped cracks while they are tracked: state, fusion, existence, growth and merging. Used by ``crack_map``."""
