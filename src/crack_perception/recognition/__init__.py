# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Models: verification, inference backends, severity and the frame detector."""
