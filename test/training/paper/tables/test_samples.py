# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the sampling of tiles for the tables."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from labelled_tiles import write_labelled_tiles

from crack_perception.errors import UserError
from crack_perception.training.data.manifest import read_manifest
from crack_perception.training.data.rows import trainable_rows, validation_groups
from crack_perception.training.paper.tables.samples import VALIDATION_SEED, VALIDATION_SHARE, draw_samples, list_name


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_tiles(tmp_path_factory.mktemp("data"))


def test_draw_samples_sets_share_no_photograph(data: Path) -> None:
    samples = draw_samples(data, 5, 3)
    groups = [set(part.groups) for part in (samples.fitting, samples.validation, samples.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    held_out = validation_groups(trainable_rows(read_manifest(data)), VALIDATION_SHARE, VALIDATION_SEED)
    assert groups[1] <= held_out
    assert not groups[0] & held_out


def test_draw_samples_sources_and_classes_are_balanced(data: Path) -> None:
    samples = draw_samples(data, 4, 3)
    for part, most in ((samples.fitting, 4), (samples.validation, 2), (samples.test, 4)):
        for stratum in np.unique(part.strata):
            assert np.bincount(part.labels[part.strata == stratum]).tolist() == [most, most]
    assert samples.report()["test"] == {"tiles": 16, "cracked": 8, "photographs": len(set(samples.test.groups))}


def test_draw_samples_other_seed_gives_other_tiles(data: Path) -> None:
    first, again, other = (draw_samples(data, 3, seed).fitting.pixels for seed in (1, 1, 2))
    assert list_name("fitting", first) == list_name("fitting", again)
    assert list_name("fitting", first) != list_name("fitting", other)


def test_draw_samples_missing_class_raises(tmp_path: Path) -> None:
    data = write_labelled_tiles(tmp_path)
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [row for row in rows if row["split"] == "train" or row["label"] == "crack"]
    with (data / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(kept)
    with pytest.raises(UserError, match="no tile for test labelled none"):
        draw_samples(data, 3, 0)


def test_list_name_changed_pixel_gives_other_name(data: Path) -> None:
    tile = cv2.imread(str(next(data.glob("*.png"))))
    changed = tile.copy()
    changed[3, 4, 1] ^= 1
    assert list_name("a", [tile]) != list_name("a", [changed])
    assert list_name("a", [tile]) != list_name("b", [tile])
