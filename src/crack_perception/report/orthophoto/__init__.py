# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Orthophotos of the facets of a map, from the images of a recording."""
