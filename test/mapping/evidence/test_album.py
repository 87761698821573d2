# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The photographs of a map: the best of each crack, never more bytes than allowed, following merged cracks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from map_cracks import photograph_of_crack

from crack_perception.mapping.evidence.album import Album
from crack_perception.mapping.evidence.photograph import Photograph

S = 1_000_000_000
LIMIT = 10_000


def photograph(crack_id: int = 1, seconds: float = 0.0, **changes: Any) -> Photograph:
    return photograph_of_crack(crack_id, 1_700_000_000 * S + int(seconds * S), **changes)


def album(max_bytes: int = LIMIT) -> Album:
    return Album((), {}, max_bytes)


def test_offer_reports_what_is_to_be_saved() -> None:
    made = album()
    first, blurred, sharp = photograph(), photograph(seconds=0.5, sharpness=0.1), photograph(seconds=0.7, sharpness=1.0)
    assert made.offer(first, 100) and not made.offer(blurred, 100)
    assert made.changes().photographs == {first.file: first}
    assert not made.changes()
    better = photograph(seconds=0.7, gsd_mm_per_px=0.8)
    assert not made.offer(sharp, 100) and made.offer(better, 120)
    change = made.changes()
    assert change.photographs == {better.file: better} and change.removed == {first.file}
    assert len(made) == 1 and made.total_bytes == 120


def test_offer_beyond_the_limit_removes_the_least_valuable() -> None:
    made = album(1000)
    for number in range(3):
        made.offer(photograph(1, 2.0 * number, gsd_mm_per_px=1.0), 200)
    made.offer(photograph(2, gsd_mm_per_px=3.0), 200)
    assert made.offer(photograph(3, gsd_mm_per_px=3.0), 200) and made.total_bytes == 1000
    # The only photograph of another crack is worth more than the third of the first, however good.
    assert made.offer(photograph(4, gsd_mm_per_px=5.0), 200)
    assert [len(made.of(crack_id)) for crack_id in (1, 2, 3, 4)] == [2, 1, 1, 1]
    assert not made.offer(photograph(2, 9.0, gsd_mm_per_px=4.0), 200), "a second one, and a worse one"
    assert made.total_bytes <= 1000


@pytest.mark.parametrize("seed", range(5))
def test_offer_any_order_keeps_bytes_and_changes_consistent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made, disk = album(), {}
    for number in range(400):
        new = photograph(
            int(rng.integers(1, 12)), 0.4 * number, gsd_mm_per_px=float(rng.uniform(0.5, 3)), sharpness=rng.random()
        )
        size = int(rng.integers(100, 1500))
        made.offer(new, size)
        if rng.random() < 0.05:
            gone, owner = rng.integers(1, 12, 2).tolist()
            made.move(gone, lambda _, owner=owner: owner)
        if rng.random() < 0.05:
            made.remove_crack(int(rng.integers(1, 12)))
        change = made.changes()
        sizes = {new.file: size}
        for file, record in change.photographs.items():
            disk[file] = (record.crack_id, disk[file][1] if file in disk else sizes[file])
        for file in change.removed:
            disk.pop(file, None)
        assert made.total_bytes == sum(size for _, size in disk.values()) <= LIMIT
    for crack_id in range(1, 12):
        kept = {each.file for each in made.of(crack_id)}
        assert kept == {file for file, (owner, _) in disk.items() if owner == crack_id} and len(kept) <= 3


def test_move_gives_the_survivor_the_best_of_both() -> None:
    made = album()
    for number in range(3):
        made.offer(photograph(1, 2.0 * number, gsd_mm_per_px=2.0), 100)
        made.offer(photograph(2, 20 + 2.0 * number, gsd_mm_per_px=1.0), 100)
    made.changes()
    made.move(2, lambda _: 1)
    change = made.changes()
    assert all(each.crack_id == 1 and each.gsd_mm_per_px == 1.0 for each in made.of(1)[-2:])
    assert len(made.of(1)) == 3 and not made.of(2) and len(change.removed) == 3 and len(change.photographs) == 3
    assert {each.file for each in made.of(1)}.isdisjoint(change.removed)


def test_album_stored_photograph_without_file_is_dropped() -> None:
    here, lost = photograph(1), photograph(2)
    made = Album([here, lost], {here.file: 300}, LIMIT)
    assert made.of(1) == (here,) and made.changes().removed == {lost.file} and made.total_bytes == 300


def test_album_stored_photographs_beyond_a_new_limit_are_removed() -> None:
    stored = [photograph(1, 2.0 * number) for number in range(3)]
    made = Album(stored, {each.file: 300 for each in stored}, 650)
    assert len(made) == 2 and len(made.changes().removed) == 1
