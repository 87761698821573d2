# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Deliverables made from crack maps on the ground station; nothing of this is imported by the nodes."""
