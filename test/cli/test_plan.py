# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception plan`` on real map files, and the end of a verb on signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from map_cracks import straight_crack

from crack_perception.cli.main import main
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.annotate import severity_colour


def test_plan_map_file_writes_svg_and_png(tmp_path: Path) -> None:
    with closing(MapStore(tmp_path / "map.sqlite")) as store:
        store.save([straight_crack(1)], [], 2)
    assert main(["plan", str(tmp_path / "map.sqlite"), "--out", str(tmp_path / "out"), "--title", "Pier 7"]) == 0
    assert "Pier 7" in (tmp_path / "out" / "crack_map.svg").read_text()
    assert (tmp_path / "out" / "crack_map.png").read_bytes().startswith(b"\x89PNG")


def test_plan_leaves_rejected_cracks_out_and_draws_merged_ones_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    following = straight_crack(2, line_m=np.array([[2.2, 0.0, 1.0], [3.0, 0.0, 1.0]]))
    with closing(MapStore(tmp_path / "map.sqlite")) as store:
        store.save([straight_crack(1), following, straight_crack(3)], [], 4)
        store.add_decision(Decision(3, Action.REJECT, {}, "Ana", 1))
        store.add_decision(Decision(2, Action.MERGE, {"into": 1}, "Ana", 2))
    assert main(["plan", str(tmp_path / "map.sqlite"), "--out", str(tmp_path / "out")]) == 0
    drawing = (tmp_path / "out" / "crack_map.svg").read_text()
    assert capsys.readouterr().out.startswith("1 cracks: ") and 'id="crack-1"' in drawing
    assert 'id="crack-2"' not in drawing and 'id="crack-3"' not in drawing and "3.00 m long" in drawing


def test_plan_colours_cracks_by_the_severity_of_the_reviewer(tmp_path: Path) -> None:
    with closing(MapStore(tmp_path / "map.sqlite")) as store:
        store.save([straight_crack(1)], [], 2)
    drawings = []
    for severity in (None, "minor"):
        if severity is not None:
            with closing(MapStore(tmp_path / "map.sqlite")) as store:
                store.add_decision(Decision(1, Action.SEVERITY, {"severity": severity}, "Ana", 1))
        assert main(["plan", str(tmp_path / "map.sqlite"), "--out", str(tmp_path / "out")]) == 0
        drawings.append((tmp_path / "out" / "crack_map.svg").read_text())
    lines = [drawing[drawing.index('id="crack-1"') :][:400] for drawing in drawings]
    minor = "#{:02x}{:02x}{:02x}".format(
        *severity_colour(SeverityScale.of_preset("gb50204").relative_severity("minor"))[::-1]
    )
    assert minor not in lines[0] and minor in lines[1]


def test_plan_missing_map_is_refused_without_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "none.sqlite")]) == 1
    assert "none.sqlite" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_plan_while_a_mapper_holds_the_map_shows_what_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "map.sqlite"
    with closing(MapStore(path)) as store:
        store.save([straight_crack(1), straight_crack(2)], [], 3)
        assert main(["plan", str(path), "--out", str(tmp_path / "out")]) == 0
        store.save([straight_crack(3)], [], 4)
    assert capsys.readouterr().out.startswith("2 cracks: ")
    with closing(MapStore(path)) as store:
        assert len(store.load()) == 3


def test_plan_of_a_read_only_map_leaves_file_and_folder_as_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with closing(MapStore(folder / "map.sqlite")) as store:
        store.save([straight_crack(1)], [], 2)
    before = (folder / "map.sqlite").read_bytes()
    (folder / "map.sqlite").chmod(0o444)
    folder.chmod(0o555)
    try:
        assert main(["plan", str(folder / "map.sqlite"), "--out", str(tmp_path / "out")]) == 0
    finally:
        folder.chmod(0o755)
    assert [entry.name for entry in folder.iterdir()] == ["map.sqlite"]
    assert (folder / "map.sqlite").read_bytes() == before


def test_plan_of_a_damaged_map_is_refused_and_leaves_it_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "map.sqlite"
    path.write_bytes(b"not a map" * 100)
    assert main(["plan", str(path)]) == 1
    assert "start crack_mapper with it" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.sqlite"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_main_inherited_ignored_sigint_still_ends_on_signals(number: signal.Signals, code: int) -> None:
    script = (
        "import sys, time\nfrom crack_perception.cli import main as cli, models\n"
        "def work(arguments):\n    print('READY', flush=True)\n    time.sleep(60)\n"
        "models.run = work\nsys.exit(cli.main(['models']))"
    )

    def set_dispositions() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The tests may run under nohup, whose ignored SIGHUP is inherited.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=set_dispositions,
    )
    assert process.stdout and process.stdout.readline() == "READY\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in errors, errors
