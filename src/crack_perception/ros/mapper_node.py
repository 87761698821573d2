# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``python -m crack_perception.ros.mapper_node``: the same as the executable ``crack_mapper``."""

from __future__ import annotations

import sys

from crack_perception.ros.executables import crack_mapper as main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
