# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What proves a crack: its photographs, and what a reviewer has decided about it."""
