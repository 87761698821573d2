# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulated flight: settings, plan, trajectory, measurement errors, bag and ground truth."""
