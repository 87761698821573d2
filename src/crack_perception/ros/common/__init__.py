# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parts that both nodes use: lifecycle, parameters, QoS profiles, diagnostics, health and message conversions."""
