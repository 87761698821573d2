# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of model loading and of its verification by hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.compact_graph import compress_graph
from crack_perception.recognition.models import (
    inference_sha256,
    load_model,
    model_directory,
    shipped_models,
    verify_files,
    write_graph,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def compact(folder: Path) -> Path:
    """Return the same model with a compressed graph."""
    entries = write_graph(folder, (folder / "model.onnx").read_bytes(), compact=True)
    change_card(folder, lambda card: card.update(entries))
    return folder


def change_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    change(card)
    path.write_text(json.dumps(card), encoding="utf-8")


def refusal(folder: Path) -> UserError:
    """Return the error of loading; it always has a remedy."""
    with pytest.raises(UserError) as caught:
        load_model(str(folder))
    assert caught.value.remedy
    return caught.value


def test_load_model_values_from_card(folder: Path) -> None:
    model = load_model(str(folder))
    graph = (folder / "model.onnx").read_bytes()
    assert (model.name, model.directory, model.graph) == ("tiny", folder, graph)
    assert model.sha256 == hashlib.sha256(graph).hexdigest()
    assert model.stored_bytes == len(graph)
    assert (model.tile_px, model.threshold, model.wide_edge_px) == (TILE_PX, 0.5, 3.0)
    assert model.card["severity"] == {"edge_px": 3.0}


@pytest.mark.parametrize(
    ("entry", "channels"), [({}, 3), ({"tiles": "uint8 BGR"}, 3), ({"channels": 3}, 3), ({"channels": 1}, 1)]
)
def test_load_model_channels_default_three(folder: Path, entry: dict[str, object], channels: int) -> None:
    change_card(folder, lambda card: card.update(input=entry))
    model = load_model(str(folder))
    assert model.tile_shape == (TILE_PX, TILE_PX, channels)
    change_card(folder, lambda card: card.pop("input"))
    assert load_model(str(folder)).channels == 3


def test_load_model_relative_folder_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert load_model("tiny").name == "tiny"
    assert load_model("./tiny").name == "tiny"


@pytest.mark.parametrize("position", [0, 100, -1])
def test_load_model_changed_bit_refused(folder: Path, position: int) -> None:
    path = folder / "model.onnx"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))
    error = refusal(folder)
    assert str(path) in error.problem
    assert "SHA-256" in error.problem


def test_load_model_truncated_graph_refused(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert "SHA-256" in refusal(folder).problem


def test_load_model_missing_graph_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    assert refusal(folder).problem == f"{folder / 'model.onnx'}: is missing"


def test_verify_files_all_listed_files_checked(folder: Path) -> None:
    notes = folder / "notes.txt"
    notes.write_text("as trained", encoding="utf-8")
    change_card(folder, lambda card: card["files"].update({"notes.txt": hashlib.sha256(b"as trained").hexdigest()}))
    load_model(str(folder))
    notes.write_text("as edited", encoding="utf-8")
    assert str(notes) in refusal(folder).problem


def test_load_model_missing_folder_lists_models(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert "nowhere" in error.problem
    assert "card.json" in error.remedy
    assert all(name in error.remedy for name in shipped_models())


@pytest.mark.parametrize("content", ["", "{", "not json", '{"name": "tiny", ', "\udcff"])
def test_load_model_card_not_json_refused(folder: Path, content: str) -> None:
    (folder / "card.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert str(folder / "card.json") in refusal(folder).problem


@pytest.mark.parametrize("content", ["[]", "null", "3", '"tiny"'])
def test_load_model_card_not_object_refused(folder: Path, content: str) -> None:
    (folder / "card.json").write_text(content, encoding="utf-8")
    assert "is not a model card" in refusal(folder).problem


@pytest.mark.parametrize("files", [None, [], {}, {"weights.bin": "00"}])
def test_load_model_card_without_graph_refused(folder: Path, files: object) -> None:
    change_card(folder, lambda card: card.update(files=files))
    assert "lists no model.onnx or model.onnx.xz" in refusal(folder).problem


def test_load_model_card_with_two_graphs_refused(folder: Path) -> None:
    change_card(folder, lambda card: card["files"].update({"model.onnx.xz": "00"}))
    assert "lists model.onnx and model.onnx.xz" in refusal(folder).problem


def test_load_model_compressed_graph_same_model(folder: Path) -> None:
    plain = load_model(str(folder))
    entries = write_graph(folder, plain.graph, compact=True)
    change_card(folder, lambda card: card.update(entries))
    model = load_model(str(folder))
    assert not (folder / "model.onnx").exists()
    assert (model.graph, model.sha256) == (plain.graph, plain.sha256)
    assert model.stored_bytes == entries["bytes_total"] == (folder / "model.onnx.xz").stat().st_size
    assert model.stored_bytes < plain.stored_bytes


def test_write_graph_uncompressed_replaces_compressed(compact: Path) -> None:
    graph = load_model(str(compact)).graph
    entries = write_graph(compact, graph, compact=False)
    assert entries == {
        "files": {"model.onnx": hashlib.sha256(graph).hexdigest()},
        "bytes_total": len(graph),
    }
    assert not (compact / "model.onnx.xz").exists()
    assert (compact / "model.onnx").read_bytes() == graph


def test_load_model_compressed_file_checked_before_unpacking(compact: Path) -> None:
    path = compact / "model.onnx.xz"
    path.write_bytes(b"hostile")
    error = refusal(compact)
    assert "SHA-256" in error.problem
    assert "unpacked" not in error.problem


@pytest.mark.parametrize("digest", ["0" * 64, None, 3])
def test_load_model_graph_checked_after_unpacking(compact: Path, digest: object) -> None:
    change_card(compact, lambda card: card.update(graph_sha256=digest))
    assert "model.onnx.xz, unpacked: SHA-256 is" in refusal(compact).problem


def test_load_model_invalid_xz_with_valid_hash_refused(compact: Path) -> None:
    data = compress_graph(b"graph")[:-1]
    (compact / "model.onnx.xz").write_bytes(data)
    change_card(compact, lambda card: card["files"].update({"model.onnx.xz": hashlib.sha256(data).hexdigest()}))
    assert "truncated" in refusal(compact).problem


@pytest.mark.parametrize("entry", ["name", "tile_px", "threshold", "severity"])
def test_load_model_missing_card_entry_named(folder: Path, entry: str) -> None:
    change_card(folder, lambda card: card.pop(entry))
    error = refusal(folder)
    assert str(folder / "card.json") in error.problem
    assert f"'{entry}'" in error.problem


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile_px": "wide"},
        {"tile_px": None},
        {"tile_px": 0},
        {"tile_px": -256},
        {"tile_px": float("inf")},
        {"input": "uint8 BGR"},
        {"input": {"channels": "grey"}},
        {"input": {"channels": None}},
        {"input": {"channels": 2}},
        {"threshold": "high"},
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"threshold": float("nan")},
        {"severity": 3.0},
        {"severity": {}},
        {"severity": {"edge_px": 0}},
        {"severity": {"edge_px": float("nan")}},
    ],
)
def test_load_model_invalid_card_entry_refused(folder: Path, wrong: dict[str, Any]) -> None:
    change_card(folder, lambda card: card.update(wrong))
    assert str(folder / "card.json") in refusal(folder).problem


def test_verify_files_unchanged_folder_accepted(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    verify_files(folder, card)
    card["files"]["model.onnx"] = "0" * 64
    with pytest.raises(UserError, match="SHA-256"):
        verify_files(folder, card)


@pytest.mark.parametrize("name", shipped_models())
def test_verify_files_shipped_model_accepted(name: str) -> None:
    model = load_model(name)
    assert model.name == name
    assert load_model(str(model.directory)).sha256 == model.sha256


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "no model is named"),
        ("standrad", "Did you mean 'standard'"),
        ("Nano", "Did you mean 'nano'"),
        ("{folder}/file", "is a file"),
        ("{folder}/file/deeper", "there is no model"),
        ("{folder}", "holds no card.json"),
        ("~nobody_of_this_name/model", "is no path"),
        ("a\0b", "is no path"),
        ("a" * 5000, "File name too long"),
    ],
)
def test_model_directory_wrong_name_or_path_reason_given(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("no model")
    with pytest.raises(UserError, match=reason) as caught:
        model_directory(name.format(folder=tmp_path))
    assert caught.value.remedy and len(str(caught.value)) < 400


def test_model_directory_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "card.json").write_text("{}")
    assert model_directory("~/mine") == tmp_path / "mine"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/model.onnx"])
def test_verify_files_card_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(UserError, match="not a file of its folder"):
        verify_files(folder, {"files": {name: "0" * 64, "model.onnx": "0" * 64}})


@pytest.mark.parametrize(("entry", "value"), [("threshold", 0.7), ("tile_px", 65), ("severity", {"edge_px": 4.0})])
def test_load_model_changed_entry_of_a_hashed_card_is_refused(folder: Path, entry: str, value: object) -> None:
    change_card(folder, lambda card: card.update(inference_sha256=inference_sha256(card)))
    assert load_model(str(folder)).threshold == 0.5
    change_card(folder, lambda card: card.update({entry: value}))
    assert "inference_sha256" in refusal(folder).problem
    change_card(folder, lambda card: card.update(inference_sha256=inference_sha256(card)))
    change_card(folder, lambda card: card.update(note="what the model computes stays the same"))
    load_model(str(folder))
