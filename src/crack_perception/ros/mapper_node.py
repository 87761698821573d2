# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Entry point of the executable ``crack_mapper``; ``python -m crack_perception.ros.mapper_node`` starts it too."""

from __future__ import annotations

import sys

from crack_perception.ros.mapper.node import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
