# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``python -m crack_perception.ros.crack_node``: the same as the executable ``crack_node``."""

from __future__ import annotations

import sys

from crack_perception.ros.executables import crack_node as main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
