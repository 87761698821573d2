# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""crack_mapper, the mapping node: ``node`` is the entry point, ``parameters`` lists the parameters."""
