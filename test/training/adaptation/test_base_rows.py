# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Base rows are stored in one byte per feature, verified, and those of the shipped models fit their model."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import precision_recall_f1
from crack_perception.paths import models_directory
from crack_perception.recognition.models import load_model, shipped_models
from crack_perception.training.adaptation.base_rows import (
    BASE_ROWS_NAME,
    BaseRows,
    base_rows_entry,
    encode_base_rows,
    read_base_rows,
)
from crack_perception.training.adaptation.head import ModelHead

MOST_BYTES = 200_000
LEAST_OF_CLASS = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped model."""
    return Path(shutil.copytree(models_directory() / "nano", tmp_path / "mine"))


def rows(count: int = 50) -> BaseRows:
    rng = np.random.default_rng(0)
    features = rng.normal(0.0, [1.0, 10.0, 0.01], (count, 3))
    return BaseRows(features, np.arange(count) % 2, np.repeat(["a/wall", "b/deck"], count // 2))


def store(folder: Path, content: bytes, stored: BaseRows) -> None:
    (folder / BASE_ROWS_NAME).write_bytes(content)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["base_rows"] = base_rows_entry(content, stored)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


def test_rows_are_read_as_stored_but_for_rounding(folder: Path) -> None:
    stored = rows()
    content = encode_base_rows(stored)
    assert content == encode_base_rows(stored)
    store(folder, content, stored)
    read, again = read_base_rows(load_model(str(folder)))
    assert again == content
    np.testing.assert_array_equal(read.labels, stored.labels)
    np.testing.assert_array_equal(read.surfaces, stored.surfaces)
    steps = np.abs(stored.features).max(axis=0) / 127
    assert (np.abs(read.features - stored.features) <= 0.51 * steps).all()


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_rows_are_small_and_carry_the_accuracy_of_the_model(name: str) -> None:
    model = load_model(name)
    read, content = read_base_rows(model)
    assert len(content) == model.card["base_rows"]["bytes"] < MOST_BYTES
    refitted = model.card.get("refit", {}).get("tiles", {}).values()
    added = sum(sum(counts.values()) for counts in refitted if min(counts.values()) >= LEAST_OF_CLASS)
    assert len(read.labels) == model.card["training"]["validation_tiles"] + added
    scores = 1.0 / (1.0 + np.exp(-ModelHead(model).logits_of(read.features)))
    assert precision_recall_f1(read.labels, scores >= model.threshold)[2] > 0.8


def test_changed_rows_are_refused(folder: Path) -> None:
    path = folder / BASE_ROWS_NAME
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="SHA-256"):
        read_base_rows(load_model(str(folder)))


def test_missing_rows_are_named(folder: Path) -> None:
    (folder / BASE_ROWS_NAME).unlink()
    with pytest.raises(UserError, match=BASE_ROWS_NAME):
        read_base_rows(load_model(str(folder)))


def test_model_without_rows_is_refused_with_a_remedy(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    del card["base_rows"]
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_base_rows(load_model(str(folder)))
    assert "scripts/base_rows.py" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive", encode_base_rows(rows())[:-30]])
def test_damaged_file_with_a_matching_hash_is_refused(folder: Path, content: bytes) -> None:
    store(folder, content, rows())
    with pytest.raises(UserError, match="cannot be read"):
        read_base_rows(load_model(str(folder)))


def test_arrays_that_do_not_fit_together_are_refused(folder: Path) -> None:
    stored = rows()
    single = BaseRows(stored.features, np.zeros_like(stored.labels), stored.surfaces)
    content = encode_base_rows(single)
    store(folder, content, single)
    with pytest.raises(UserError, match="do not fit"):
        read_base_rows(load_model(str(folder)))


def test_rows_cannot_run_code(folder: Path, tmp_path: Path) -> None:
    import io

    file = io.BytesIO()
    np.savez(file, levels=np.array([object()], dtype=object))
    store(folder, file.getvalue(), rows())
    assert hashlib.sha256(file.getvalue()).hexdigest()
    with pytest.raises(UserError, match="cannot be read"):
        read_base_rows(load_model(str(folder)))
