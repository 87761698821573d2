# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images: encodings, tiling, regions and annotation; arrays in, arrays out."""
