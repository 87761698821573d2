# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What ends a run, and what costs one recording only: other runs, full disks, files that change, odd names."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from patience import PATIENCE_S
from survey_inputs import PART_S, Archive, copy_of, survey

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.mapping.storage import atomic_file
from crack_perception.survey import registry
from crack_perception.survey import run as survey_run
from crack_perception.survey.archive_lock import LOCK, exclusive
from crack_perception.survey.engine import Engine, explained
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.sources import Source, SourceKind
from crack_perception.survey.storage import FatalError, Storage
from crack_perception.survey.tasks import process_part


def command(inputs: Path, out: Path) -> list[str]:
    return ["survey", str(inputs), "--out", str(out), "--model", "nano", "--part", f"{PART_S:g}", "--workers", "1"]


def no_report(line: str) -> None:
    pytest.fail(line)


def test_exclusive_second_run_is_refused_until_the_first_was_killed(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    program = (
        "import sys, time\n"
        "from crack_perception.survey.archive_lock import exclusive\n"
        "from crack_perception.survey.storage import Storage\n"
        "with exclusive(Storage(sys.argv[1]), print):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    started = [sys.executable, "-c", program, str(out)]
    with subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert main(command(archive.recordings / "tower", out)) == 1
        error = capsys.readouterr().err
        assert f"another survey writes to it (process {first.pid} of " in error
        assert "Wait until it has ended" in error
        first.kill()
        first.wait(PATIENCE_S)
    with (
        exclusive(Storage(str(out)), no_report),
        pytest.raises(UserError, match=f"process {os.getpid()} of"),
        exclusive(Storage(str(out)), no_report),
    ):
        pass
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != LOCK}
    assert after == before


def test_exclusive_object_storage_and_file_systems_without_locks_are_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with exclusive(Storage("memory://without/locks"), no_report):
        pass

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    lines: list[str] = []
    with exclusive(Storage(str(tmp_path)), lines.append):
        assert "file system without locks" in lines[0]


def test_survey_registry_that_another_run_has_written_is_not_overwritten(
    archive: Archive, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    theirs = (out / "survey.json").read_bytes() + b"\n"
    read = registry.read_registry

    def read_before(storage: Storage) -> registry.Registry:
        found = read(storage)
        (out / "survey.json").write_bytes(theirs)
        return found

    monkeypatch.setattr(survey_run, "read_registry", read_before)
    with pytest.raises(UserError, match=r"survey\.json: was changed by another run meanwhile"):
        survey([archive.recordings / "tower"], out, engine)
    assert (out / "survey.json").read_bytes() == theirs


def test_survey_recording_that_changes_while_it_is_read_is_skipped(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = copy_of(archive.recordings / "tower", tmp_path / "in")
    growing = inputs / "west" / "photograph_0.jpg"

    def grow(job: Any, source: Source, *rest: Any) -> dict[str, Any]:
        if source.path == growing.parent:
            growing.write_bytes(growing.read_bytes() + b" ")
        return process_part(job, source, *rest)

    monkeypatch.setattr(survey_run, "process_part", grow)
    with ThreadPoolExecutor(1) as executor:
        summary = survey([inputs], tmp_path / "out", Engine(executor, 1, "one thread"))
    problems = {each["name"]: each["problem"] for s in summary["structures"] for each in s["recordings"]}
    assert problems["in/east"] is None
    assert "was changed while it was read. Run the same command again" in problems["in/west"]
    monkeypatch.undo()
    with ThreadPoolExecutor(1) as executor:
        again = survey([inputs], tmp_path / "out", Engine(executor, 1, "one thread"))
    assert (again["problems"], again["resumed"]) == (0, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.jpg").write_bytes(b"xx"),
        lambda folder: os.utime(folder / "a.jpg", ns=(1, 1)),
        lambda folder: (folder / "b.jpg").write_bytes(b"x"),
        lambda folder: (folder / "a.jpg").unlink(),
    ],
)
def test_source_check_unchanged_notices_sizes_times_and_names(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    source = Source(tmp_path, SourceKind.PHOTOGRAPHS, "in", "wall", tmp_path)
    state = source.content().state
    (tmp_path / "notes.txt").write_text("beside them")
    source.check_unchanged(state)
    change(tmp_path)
    with pytest.raises(UserError, match="was changed while it was read"):
        source.check_unchanged(state)


def test_survey_full_disk_ends_the_run_at_once_and_it_goes_on_later(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, written = tmp_path / "out", []
    fsync = os.fsync

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with ThreadPoolExecutor(1) as executor, pytest.raises(FatalError, match=r"cannot be written .the disk is full."):
        survey([archive.recordings / "tower"], out, Engine(executor, 1, "one thread"))
    assert len(written) < 25
    assert not (out / "survey.json").exists()
    monkeypatch.undo()
    assert not list(out.rglob("*.partial-*"))
    with ThreadPoolExecutor(1) as executor:
        assert survey([archive.recordings / "tower"], out, Engine(executor, 1, "one thread"))["problems"] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_survey_read_only_archive_is_named_with_the_remedy(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    assert main(command(archive.recordings / "tower", out)) == 1
    assert "permission denied). Change its owner or permissions" in capsys.readouterr().err


def test_explained_errors_of_the_machine_are_no_fault_of_the_program() -> None:
    assert "the disk is full" in explained(OSError(errno.ENOSPC, "No space left on device", "/tmp/x"))
    assert "memory is short" in explained(MemoryError())
    assert "please report it" in explained(ValueError("x"))


@pytest.mark.slow
def test_survey_archive_that_was_moved_goes_on_at_its_new_place(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    first = tmp_path / "disk" / "archive"
    survey([copy_of(archive.recordings / "dam" / "left", tmp_path / "one" / "dam" / "left").parents[1]], first, engine)
    second = tmp_path / "elsewhere" / "archive"
    second.parent.mkdir()
    shutil.move(first, second)
    summary = survey([copy_of(archive.recordings / "dam", tmp_path / "two" / "dam").parent], second, engine)
    (structure,) = summary["structures"]
    assert (summary["resumed"], summary["problems"], len(structure["recordings"])) == (1, 0, 2)
    moved = second / structure["folder"]
    fixed = archive.out / "structures" / "dam"
    names = sorted(path.name for path in (moved / "map.photographs").iterdir())
    assert len(names) == len(list((fixed / "map.photographs").iterdir()))


@pytest.mark.slow
def test_survey_structure_of_any_name_has_a_folder_and_a_row(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "../Brücke/Süd\nPfeiler 3 <b>&\x1b[31m"
    out = tmp_path / "out"
    flight = archive.recordings / "bridge south" / "first"
    assert main([*command(flight, out), "--structure", name]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    (folder,) = (out / "structures").iterdir()
    page = (out / "index.html").read_text(encoding="utf-8")
    links = [text.split('"')[0] for text in page.split('href="')[1:] if not text.startswith("#")]
    assert len(links) >= 2
    assert all((out / unquote(link)).is_file() for link in links)
    assert (folder / "map.sqlite").is_file()
    assert main(["survey", "--out", str(out), "--model", "nano", "--workers", "1", "--remove", name]) == 0
    assert "\x1b" not in capsys.readouterr().err


def test_local_engine_libraries_use_one_thread_in_each_process(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    survey([archive.recordings / "tower"], tmp_path / "out", engine)
    program = "[__import__('cv2').getNumThreads(), __import__('pyarrow').cpu_count()]"
    assert engine.submit(eval, program).result(PATIENCE_S) == [1, 1]
    environment = engine.submit(eval, "__import__('os').environ['OMP_NUM_THREADS']").result(PATIENCE_S)
    assert environment == "1"


def test_survey_settings_limit_of_a_map_does_not_compute_recordings_again() -> None:
    one, other, without = (survey_settings(None, {"model": "nano"}, {}, PART_S, size) for size in (10**9, 10**6, 0))
    assert one.digest == other.digest != without.digest
    assert one.map_digest != other.map_digest
    assert one.node_settings({}).evidence and not without.node_settings({}).evidence
