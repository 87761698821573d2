# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Entry point of the executable ``crack_node``; ``python -m crack_perception.ros.crack_node`` starts it too."""

from __future__ import annotations

import sys

from crack_perception.ros.detector.node import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
