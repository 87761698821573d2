# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map as files for other programs: GeoJSON, CSV, reports and the plan."""
