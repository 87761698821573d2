# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Engineering drawing of the crack map: the surfaces unfolded on one sheet."""
