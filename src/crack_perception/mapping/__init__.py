# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Persistent map of cracks from the observations of single frames: association, fusion, storage, export."""
