# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surface geometry: measured ranges, planes from depth or the map, and planes learnt in flight."""
