# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack map files for tests of the database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from map_cracks import random_crack

from crack_perception.mapping.storage.database import MapStore


def saved(path: Path, count: int = 3, vertices: int | None = None) -> list:
    """Write and close a file with the random cracks 1..count, and return the cracks."""
    rng = np.random.default_rng(count)
    cracks = [random_crack(rng, crack_id, vertices) for crack_id in range(1, count + 1)]
    with closing(MapStore(path)) as store:
        store.save(cracks)
    return cracks


def ids(path: Path) -> list[int]:
    with closing(MapStore(path)) as store:
        return [crack.id for crack in store.load()]
