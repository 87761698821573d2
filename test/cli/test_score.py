# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception score``: one CSV row per image, for good and bad images."""

from __future__ import annotations

import csv
import io
import math
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from patience import PATIENCE_S
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.cli.resumption import settings_file

HEADER = "path,crack_score,is_crack,severity,severity_score,width_px,width_mm,error"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of different sizes, and files that are not pictures."""
    folder = tmp_path_factory.mktemp("images")
    for name, size, grey in [("cracked", (300, 200), 20), ("sound", (64, 64), 150), ("small", (30, 20), 40)]:
        pixels = np.full((size[1], size[0], 3), 180, np.uint8)
        pixels[size[1] // 2, size[0] // 2] = grey
        assert cv2.imwrite(str(folder / f"{name}.png"), pixels)
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    jpeg = cv2.imencode(".jpg", np.full((200, 300, 3), 180, np.uint8))[1].tobytes()
    (folder / "cut_off.jpg").write_bytes(jpeg[:-100])
    return folder


def score_of(grey: float) -> float:
    return 1 / (1 + math.exp(-(64 - grey) / 8))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_score_every_image_gets_a_row(model: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(images / f"{name}.png") for name in ("cracked", "sound", "small")]
    assert main(["score", "--model", model, *paths]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.splitlines()[0] == HEADER
    rows = rows_of(output.out)
    assert [row["path"] for row in rows] == paths
    assert [float(row["crack_score"]) for row in rows] == pytest.approx(
        [score_of(20), score_of(150), score_of(40)], abs=1e-5
    )
    assert [row["is_crack"] for row in rows] == ["1", "0", "1"]


def test_score_without_gsd_has_no_millimetres(model: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", "--model", model, str(images / "cracked.png"), str(images / "sound.png")])
    cracked, sound = rows_of(capsys.readouterr().out)
    assert (cracked["severity"], cracked["width_px"], cracked["width_mm"]) == ("undetermined", "2.000", "")
    assert float(cracked["severity_score"]) == pytest.approx(score_of(20), abs=1e-3)
    assert (sound["severity"], sound["severity_score"], sound["width_px"], sound["width_mm"]) == ("", "", "", "")


def test_score_gsd_gives_severity_and_millimetres(model: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", "--model", model, "--gsd", "0.25", str(images / "cracked.png")])
    (row,) = rows_of(capsys.readouterr().out)
    assert (row["severity"], row["severity_score"], row["width_mm"]) == ("obvious", "1.0000", "0.5000")
    main(["score", "--model", model, "--gsd", "0.25", "--preset", "ec2", str(images / "cracked.png")])
    (row,) = rows_of(capsys.readouterr().out)
    assert row["severity"] == ">=0.4mm"


def test_score_threshold_option_applies(model: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", "--model", model, "--threshold", "0.999", str(images / "cracked.png")])
    (row,) = rows_of(capsys.readouterr().out)
    assert row["is_crack"] == "0"


def test_score_bad_files_get_a_row_with_error(model: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["nowhere.png", "cracked.png", "notes.txt", "cut_off.jpg", "sound.png"]
    assert main(["score", "--model", model, *(str(images / name) for name in names)]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == HEADER
    rows = rows_of(output.out)
    assert [Path(row["path"]).name for row in rows] == names
    assert [bool(row["error"]) for row in rows] == [True, False, True, True, False]
    assert [bool(row["crack_score"]) for row in rows] == [False, True, False, False, True]
    assert "truncated" in rows[3]["error"]
    lines = output.err.splitlines()
    assert len(lines) == 3
    assert all(line.count(str(images)) == 1 for line in lines)


def test_score_path_with_comma_and_quotes_is_one_cell(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / 'wall, north "A" – süd.png'
    odd.write_bytes((images / "cracked.png").read_bytes())
    assert main(["score", "--model", model, str(odd)]) == 0
    (row,) = rows_of(capsys.readouterr().out)
    assert row["path"] == str(odd)
    assert row["is_crack"] == "1"


@pytest.mark.parametrize(
    "wrong",
    [
        ["--gsd", "0"],
        ["--gsd", "-0.1"],
        ["--gsd", "nan"],
        ["--gsd", "inf"],
        ["--threshold", "0"],
        ["--threshold", "1"],
        ["--threshold", "nan"],
        ["--threads", "-1"],
        ["--threads", "100000"],
    ],
)
def test_score_number_out_of_range_is_usage_error(
    model: str, images: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--model", model, *wrong, str(images / "sound.png")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"crack_perception score: {wrong[0]}")


@pytest.mark.parametrize("wrong", [["--gsd", "wide"], ["--nonsense"], ["--threads", "1.5"]])
def test_score_unparsable_option_is_usage_error(images: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["score", *wrong, str(images / "sound.png")])
    assert caught.value.code == 2


def test_score_without_images_is_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["score"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--model", "no_such_model"], "no_such_model"),
        (["--preset", "din"], "gb50204"),
        (["--backend", "abacus"], "onnxruntime"),
    ],
)
def test_score_unknown_name_is_usage_error_with_remedy(
    model: str, images: Path, wrong: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--model", model, *wrong, str(images / "sound.png")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert named in output.err
    assert len(output.err.splitlines()) == 1


def test_score_changed_model_is_refused(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_model(tmp_path / "changed")
    with (folder / "model.onnx").open("ab") as graph:
        graph.write(b"\0")
    assert main(["score", "--model", str(folder), str(images / "sound.png")]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "SHA-256" in output.err


def test_score_folder_expands_to_pictures(model: str, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--model", model, str(images)]) == 1
    rows = rows_of(capsys.readouterr().out)
    assert [Path(row["path"]).name for row in rows] == ["cracked.png", "cut_off.jpg", "small.png", "sound.png"]


def test_score_resume_keeps_rows_and_retries_failures(model: str, images: Path, tmp_path: Path) -> None:
    out, late = tmp_path / "scores.csv", tmp_path / "late.png"
    arguments = ["score", "--model", model, "--out", str(out), str(images / "cracked.png"), str(late)]
    assert main(arguments) == 1
    text = out.read_text(encoding="utf-8").replace("undetermined", "kept")
    out.write_text(text + "cut,0.1", encoding="utf-8")
    late.write_bytes((images / "sound.png").read_bytes())
    assert main([*arguments, "--resume"]) == 0
    rows = rows_of(out.read_text(encoding="utf-8"))
    assert [(Path(row["path"]).name, row["severity"], row["error"]) for row in rows] == [
        ("cracked.png", "kept", ""),
        ("late.png", "", ""),
    ]


def replaced_after(result: Path, image: Path, content: bytes) -> None:
    """Replace an image so that its time of change is later than that of a result."""
    deadline = time.monotonic() + PATIENCE_S
    while image.stat().st_ctime_ns <= result.stat().st_mtime_ns and time.monotonic() < deadline:
        image.write_bytes(content)


def test_score_output_path_as_input_is_usage_error(model: str, images: Path) -> None:
    before = (images / "sound.png").read_bytes()
    assert main(["score", "--model", model, "--out", str(images / "sound.png"), str(images / "sound.png")]) == 2
    assert main(["score", "--model", model, "--resume", str(images / "sound.png")]) == 2
    assert (images / "sound.png").read_bytes() == before


def test_score_transparent_picture_is_an_error(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.png"
    assert cv2.imwrite(str(path), np.zeros((200, 200, 4), np.uint8))
    assert main(["score", "--model", model, str(path)]) == 1
    (row,) = rows_of(capsys.readouterr().out)
    assert "transparent" in row["error"]


def test_score_resume_scores_a_changed_image_again(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, image = tmp_path / "scores.csv", tmp_path / "wall.png"
    image.write_bytes((images / "cracked.png").read_bytes())
    arguments = ["score", "--model", model, "--out", str(out), str(image)]
    assert main(arguments) == 0
    before = rows_of(out.read_text(encoding="utf-8"))
    replaced_after(out, image, (images / "sound.png").read_bytes())
    assert main([*arguments, "--resume"]) == 0
    assert "1 inputs have changed since the earlier run" in capsys.readouterr().err
    (row,) = rows_of(out.read_text(encoding="utf-8"))
    assert (before[0]["is_crack"], row["is_crack"]) == ("1", "0")


def test_score_resume_with_other_settings_is_usage_error(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    arguments = ["score", "--model", model, "--out", str(out), str(images / "cracked.png")]
    assert main(arguments) == 0
    text = out.read_text(encoding="utf-8")
    assert main([*arguments, "--resume", "--gsd", "2"]) == 2
    assert "made with another gsd_mm_per_px" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == text
    settings_file(out).unlink()
    assert main([*arguments, "--resume"]) == 0
    assert "settings are unknown" in capsys.readouterr().err


@pytest.mark.parametrize("gsd", ["500", "1e-9", "0", "nan"])
def test_score_implausible_gsd_is_usage_error(
    model: str, images: Path, capsys: pytest.CaptureFixture[str], gsd: str
) -> None:
    assert main(["score", "--model", model, "--gsd", gsd, str(images / "cracked.png")]) == 2
    assert "0.001 to 100 mm/px" in capsys.readouterr().err
