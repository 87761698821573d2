# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From what single frames show to one lasting map of cracks: association, fusion, storage, export."""
