# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Network trunks: one file an architecture, with torchvision's parameter names where torchvision has it."""
