# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""crack_node, the perception node.

``node`` is the entry point, ``parameter_specs`` declares the parameters, ``parameters`` holds the checked settings.
"""
