# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page: a local web page on which people decide about the cracks of a map (ground station only)."""
