# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception adapt`` as a user runs it: tiles in folders, a model folder that every verb loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM, EXIT_USAGE, main
from crack_perception.paths import models_directory
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.training.adaptation import site_model

MODEL = "nano"
TILE_PX = 256


def site_tile(rng: np.random.Generator, is_crack: bool) -> np.ndarray:
    """A tile of a site whose cracks are filled with bright sand, which the shipped models do not know."""
    grey = 105.0 + cv2.GaussianBlur(rng.normal(0.0, 22.0, (TILE_PX, TILE_PX)), (0, 0), 1.0)
    if is_crack:
        middle = rng.uniform(80, 170) + np.cumsum(rng.normal(0.0, 1.5, 33))
        line = np.column_stack([np.linspace(0, TILE_PX, 33), middle]).astype(np.int32)
        if rng.random() < 0.5:
            line = np.ascontiguousarray(line[:, ::-1])
        bright = np.zeros((TILE_PX, TILE_PX), np.float64)
        cv2.polylines(bright, [line], False, 1.0, 3)
        grey = grey + 70.0 * cv2.GaussianBlur(bright, (0, 0), 0.7)
    return np.clip(np.repeat(grey[..., None], 3, axis=2), 0, 255).astype(np.uint8)


def write_site(folder: Path, count: int, seed: int = 0) -> Path:
    """Write ``count`` tiles of each class, of as many photographs."""
    rng = np.random.default_rng(seed)
    for name in ("crack", "intact"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            assert cv2.imwrite(str(folder / name / f"photo{number}_x0_y0.png"), site_tile(rng, name == "crack"))
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site"), 10)


@pytest.fixture(scope="module")
def adapted(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, adapted to the site."""
    out = tmp_path_factory.mktemp("models") / "sandy"
    assert main(["adapt", MODEL, "--tiles", str(site), "--out", str(out)]) == EXIT_DONE
    return out


def accuracy(model: LoadedModel, seed: int) -> float:
    """Share of right verdicts on other tiles of the site."""
    rng = np.random.default_rng(seed)
    detector = FrameDetector(model, OnnxRuntimeBackend(model, 1))
    right = 0
    for number in range(20):
        scores = detector.detect(site_tile(rng, bool(number % 2))).scores.crack_score
        right += bool(scores.max() >= model.threshold) == bool(number % 2)
    return right / 20


def test_adapted_model_is_better_on_other_tiles_of_the_site(adapted: Path) -> None:
    before, after = accuracy(load_model(MODEL), 1), accuracy(load_model(str(adapted)), 1)
    assert after >= before + 0.15


def test_adapted_model_has_its_own_name_and_a_card_that_says_what_it_is(adapted: Path) -> None:
    base, model = load_model(MODEL), load_model(str(adapted))
    card = model.card
    assert (model.name, model.threshold, model.tile_shape) == ("sandy", base.threshold, base.tile_shape)
    assert card["adapted_from"] == {"name": MODEL, "graph_sha256": base.sha256, "threshold": base.threshold}
    facts = card["adaptation"]
    assert (facts["tiles"], facts["photographs"], facts["by_photograph"]) == ({"crack": 10, "intact": 10}, 10, True)
    assert facts["after"]["f1"] > facts["before"]["f1"]
    assert set(card["metrics"]) == {"site"}
    assert card["sources"] == base.card["sources"]
    # A packed model stays packed and small.
    assert sorted(path.name for path in adapted.iterdir()) == [
        "README.md",
        "base_rows.npz",
        "card.json",
        "model.onnx.xz",
    ]
    assert card["bytes_total"] <= base.card["bytes_total"] + 2_000
    assert MODEL in (adapted / "README.md").read_text(encoding="utf-8")


def test_other_verbs_use_the_adapted_model(adapted: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", str(adapted)]) == EXIT_DONE
    assert "sandy: verified" in capsys.readouterr().out
    tile = site / "crack" / "photo0_x0_y0.png"
    assert main(["score", "--backend", "onnxruntime", "--model", str(adapted), str(tile)]) == EXIT_DONE
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_adapted_model_is_adapted_again_and_replaced_as_a_whole(adapted: Path, tmp_path: Path) -> None:
    tiles = write_site(tmp_path / "tiles", 6, seed=5)
    out = tmp_path / "second"
    arguments = ["adapt", str(adapted), "--tiles", str(tiles), "--out", str(out), "--force"]
    assert main(arguments) == EXIT_DONE
    (out / "leftover").write_text("", encoding="utf-8")
    assert main(arguments) == EXIT_DONE
    assert not (out / "leftover").exists()
    assert load_model(str(out)).card["adapted_from"]["name"] == "sandy"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_table_shows_figures_before_and_after(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", MODEL, "--tiles", str(site), "--out", str(tmp_path / "mine")]) == EXIT_DONE
    printed = capsys.readouterr().out
    assert "10 crack and 10 intact tiles of 10 photographs" in printed
    for line in ("before", "F1 ", "recall", "false alarms", "F1, known surfaces", "written"):
        assert line in printed


def test_model_that_is_not_better_is_not_written_unless_forced(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No adaptation gains so much on known surfaces.
    monkeypatch.setattr(site_model, "MOST_BASE_LOSS", -1.0)
    out = tmp_path / "mine"
    arguments = ["adapt", MODEL, "--tiles", str(site), "--out", str(out)]
    assert main(arguments) == EXIT_PROBLEM
    assert "nothing was written" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--force"]) == EXIT_DONE
    assert "Warning" in capsys.readouterr().err
    load_model(str(out))


@pytest.mark.parametrize(("name", "missing"), [("crack", "crack"), ("intact", "intact")])
def test_both_classes_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, missing: str) -> None:
    tiles = write_site(tmp_path / "tiles", 4)
    for path in list((tiles / name).iterdir())[:-3]:
        path.unlink()
    assert main(["adapt", MODEL, "--tiles", str(tiles), "--out", str(tmp_path / "mine")]) == EXIT_PROBLEM
    assert f"there are 3 {missing} tiles, an adaptation needs at least 4" in capsys.readouterr().err


def test_tiles_of_one_photograph_give_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles = tmp_path / "tiles"
    rng = np.random.default_rng(0)
    for name in ("crack", "intact"):
        (tiles / name).mkdir(parents=True)
        for number in range(6):
            assert cv2.imwrite(str(tiles / name / f"photo_x{number}_y0.png"), site_tile(rng, name == "crack"))
    assert main(["adapt", MODEL, "--tiles", str(tiles), "--out", str(tmp_path / "mine"), "--force"]) == EXIT_DONE
    assert "too few photographs" in capsys.readouterr().err
    assert load_model(str(tmp_path / "mine")).card["adaptation"]["by_photograph"] is False


def test_pictures_with_outlined_cracks_are_enough(tmp_path: Path) -> None:
    rng, images, annotations = np.random.default_rng(2), [], []
    for number in range(6):
        picture = np.hstack([site_tile(rng, True), site_tile(rng, False)])
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": 512, "height": 256})
        annotations.append({"image_id": number, "category_id": 1, "bbox": [0, 0, 236, 256]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "crack"}]}
    (tmp_path / "coco.json").write_text(json.dumps(content), encoding="utf-8")
    out = tmp_path / "mine"
    assert main(["adapt", MODEL, "--tiles", str(tmp_path), "--out", str(out), "--force"]) == EXIT_DONE
    assert load_model(str(out)).card["adaptation"]["tiles"] == {"crack": 6, "intact": 6}


@pytest.mark.parametrize("out", [str(models_directory() / MODEL), MODEL, "/"])
def test_shipped_models_are_not_overwritten(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["adapt", MODEL, "--tiles", str(site), "--out", out]) == EXIT_USAGE


def test_folder_of_something_else_is_not_overwritten(site: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["adapt", MODEL, "--tiles", str(site), "--out", str(tmp_path / "mine")]) == EXIT_USAGE
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_core_installation_is_enough(site: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'sklearn', 'scipy', 'rclpy'): sys.modules[name] = None\n"
        "from crack_perception.cli.main import main\n"
        f"sys.exit(main(['adapt', {MODEL!r}, '--tiles', {str(site)!r}, '--out', {str(tmp_path / 'mine')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == EXIT_DONE, done.stderr
