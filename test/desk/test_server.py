# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception desk`` as a real process: its address, its signals, and decisions that survive kill -9."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from desk_process import served
from patience import PATIENCE_S
from review_maps import wall_map

from crack_perception.cli.main import main
from crack_perception.mapping.evidence.decisions import reviews
from crack_perception.mapping.storage.snapshot import read_snapshot

pytest.importorskip("uvicorn", reason="the extra desk is not installed")
httpx = pytest.importorskip("httpx", reason="the extra test is not installed")


def accept(client: httpx.Client, crack_id: int, action: str = "accept") -> httpx.Response:
    body = {"author": "Ana", "decisions": [{"crack_id": crack_id, "action": action}]}
    return client.post("/api/decisions", json=body)


def test_desk_decision_is_on_the_disk_before_the_answer_kill_9(tmp_path: Path) -> None:
    path = wall_map(tmp_path)
    with served(path) as (process, address), httpx.Client(base_url=address, timeout=60) as client:
        assert accept(client, 4).status_code == 200
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert [(each.crack_id, each.author) for each in read_snapshot(path).decisions] == [(4, "Ana")]


def test_desk_killed_at_any_moment_keeps_every_answered_decision_and_a_sound_map(tmp_path: Path) -> None:
    """The process dies during a stream of decisions; the next one continues with what was answered."""
    path = wall_map(tmp_path)
    answered = 0
    for delay_s in (0.15, 0.27, 0.4):
        with served(path) as (process, address), httpx.Client(base_url=address, timeout=60) as client:
            # However slow the machine is, one decision is answered.
            assert accept(client, 1, "accept").status_code == 200
            answered += 1
            timer = threading.Timer(delay_s, process.kill)
            timer.start()
            try:
                while accept(client, 1, "reject" if answered % 2 else "accept").status_code == 200:
                    answered += 1
            except httpx.TransportError:
                pass
            timer.join()
            process.wait(timeout=60)
        snapshot = read_snapshot(path)
        assert len(snapshot.cracks) == 5
        # One more may have been stored whose answer was lost.
        assert answered <= len(snapshot.decisions) <= answered + 1
        answered = len(snapshot.decisions)
    with served(path) as (_, address), httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/api/map").json()["cracks"][0]["verdict"] == reviews(snapshot.decisions)[1].verdict.value


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_desk_ends_on_signals_without_traceback(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with served(wall_map(tmp_path)) as (process, address):
        assert httpx.get(address, timeout=60).status_code == 200
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in errors, errors


def test_desk_beyond_loopback_prints_an_address_with_a_token_that_opens_it(tmp_path: Path) -> None:
    with served(wall_map(tmp_path), "--host", "0.0.0.0") as (_, address):
        port = re.search(r":(\d+)/", address)
        assert port and "?token=" in address
        here = f"http://127.0.0.1:{port[1]}/"
        assert httpx.get(here, timeout=60).status_code == 401
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            assert client.get(here + "?" + address.partition("?")[2]).status_code == 200
            assert client.get(here + "api/map").status_code == 200


def refused(path: Path, *options: str) -> tuple[int, str]:
    """Exit code and error of the verb, which must not begin to serve."""
    command = [sys.executable, "-m", "crack_perception.cli.main", "desk", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_desk_port_in_use_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = wall_map(tmp_path)
    with served(path) as (_, address):
        code, error = refused(path, "--port", address.rstrip("/").rpartition(":")[2])
    assert code == 1 and "Address already in use" in error and "--port" in error


@pytest.mark.parametrize(
    ("options", "code"),
    [(["--port", "70000"], 2), (["--port", "-1"], 2), (["--host", "no.such.host.invalid"], 1)],
)
def test_desk_impossible_address_is_an_error(tmp_path: Path, options: list[str], code: int) -> None:
    found, error = refused(wall_map(tmp_path), *options)
    assert found == code and "--port" in error


def test_desk_missing_map_is_an_error_and_creates_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["desk", str(tmp_path / "none.sqlite")]) == 1
    assert "none.sqlite" in capsys.readouterr().err and not list(tmp_path.iterdir())
