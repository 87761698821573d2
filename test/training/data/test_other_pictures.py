# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tiles of pictures that show no structure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.training.data.other_pictures import NO_OTHER_PICTURES, load_other_pictures, source_of


def test_load_other_pictures_splits_by_picture(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    grain = np.random.default_rng(0).integers(0, 9, (40, 60, 3))
    for i in range(10):
        cv2.imwrite(str(folder / ("deeper" if i % 2 else "") / f"{i}.png"), (20 * i + grain).astype(np.uint8))
    (folder / "notes.txt").write_text("no picture")
    others = load_other_pictures(folder, 32, 3, tmp_path / "cache", 0.2)
    assert len(others) == 80 and others.pixels.shape == (80, 32, 32, 3)
    assert len(set(others.groups)) == 10 and "other:deeper/1.png" in others.groups
    assert others.unseen.sum() == 16
    for name in set(others.groups):
        here = others.groups == name
        assert len(set(others.unseen[here])) == 1
        assert np.ptp(others.pixels[here].astype(int)) < 10
    assert set(others.learned) | set(np.nonzero(others.unseen)[0]) == set(range(80))


def test_load_other_pictures_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no pictures"):
        load_other_pictures(tmp_path, 32, 0, tmp_path / "cache", 0.1)


def test_no_other_pictures_are_none() -> None:
    assert len(NO_OTHER_PICTURES) == len(NO_OTHER_PICTURES.learned) == 0


def test_source_of_reads_its_file_or_states_unknown(tmp_path: Path) -> None:
    assert source_of(tmp_path) == {"title": f"Pictures of the folder {tmp_path.name}", "licence": "unknown"}
    (tmp_path / "source.json").write_text('{"title": "Leaves", "licence": "CC0"}')
    assert source_of(tmp_path) == {"title": "Leaves", "licence": "CC0"}


@pytest.mark.parametrize("text", ["[]", '{"title": 3}', "{"])
def test_source_of_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "source.json").write_text(text)
    with pytest.raises(UserError, match=r"source\.json"):
        source_of(tmp_path)
