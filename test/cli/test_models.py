# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception models``: description and verification of models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.recognition.models import load_model, shipped_models, write_graph


def test_models_describes_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["macs_per_tile"] = 11_900_000
    card["metrics"] = {
        "walls": {"n": 200, "f1": 0.8125, "auc": 0.9, "recall": 0.75, "far": 0.05, "precision": 0.9},
        "negatives": {"n": 20, "f1": None, "far": 0.1},
    }
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    assert main(["models", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    model = load_model(str(folder))
    assert lines[0] == f"tiny: verified, sha256 {model.sha256}"
    assert lines[1].strip() == str(folder)
    assert f"{len(model.graph):,} bytes, 11.9 MMAC per tile of 64 px" in lines[2]
    assert "threshold 0.5" in lines[3]
    assert "walls: f1 0.812, auc 0.900, recall 0.750, far 0.050 (n = 200)" in lines[4]
    assert "negatives: far 0.100 (n = 20)" in lines[5]


def test_models_size_is_that_of_packed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card.update(write_graph(folder, load_model(str(folder)).graph, compact=True))
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    assert main(["models", str(folder)]) == 0
    assert f"  {(folder / 'model.onnx.xz').stat().st_size:,} bytes, " in capsys.readouterr().out


def test_models_lists_all_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    verified = [line.split(":")[0] for line in lines if ": verified, sha256 " in line]
    assert verified == shipped_models()


def test_models_broken_model_is_reported_and_others_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, changed, gone = (write_tiny_model(tmp_path / name, name=name) for name in ("good", "changed", "gone"))
    (changed / "model.onnx").write_bytes(b"something else")
    (gone / "model.onnx").unlink()
    assert main(["models", str(changed), str(good), str(gone), str(tmp_path / "nowhere")]) == 1
    output = capsys.readouterr()
    broken = [line for line in output.out.splitlines() if "BROKEN" in line]
    assert [line.split(":")[0] for line in broken] == [str(changed), str(gone), str(tmp_path / "nowhere")]
    assert "SHA-256" in broken[0]
    assert "is missing" in broken[1]
    assert "good: verified" in output.out
    assert output.err == ""
