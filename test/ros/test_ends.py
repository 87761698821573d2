# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How the nodes end: signals at any moment and any number of them, inherited dispositions, lifecycle transitions."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import rclpy
from crack_survey import Survey, crack
from flying_node import Flight, init_ros
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from map_cracks import straight_crack

from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.mapping.storage.database import MapStore
from crack_perception.ros.common.end_signals import END_SIGNALS
from crack_perception.ros.common.lifecycle import ManagedNode

pytestmark = pytest.mark.slow

CRACKS = 500
REPETITIONS = int(os.environ.get("CRACK_PERCEPTION_END_REPETITIONS", "2"))
TRANSITIONS = int(os.environ.get("CRACK_PERCEPTION_TRANSITIONS", "200"))
PATIENCE_S = 60.0

MAPPER = "from crack_perception.ros.mapper.node import main"
NODE = "from crack_perception.ros.detector.node import CrackNode, main"
# A timer's callback that is in progress when the signal comes, and publishes afterwards.
SLOW_DIAGNOSTICS = """
import time
publish = CrackNode._publish_diagnostics
def publish_late(self):
    print("CALLBACK", flush=True)
    time.sleep(0.08)
    publish(self)
CrackNode._publish_diagnostics = publish_late
"""


def map_of(folder: Path, count: int = CRACKS) -> Path:
    """A stored map that has not been exported."""
    path = folder / "map.sqlite"
    cracks = [
        straight_crack(
            1 + index,
            line_m=np.column_stack([np.linspace(0.0, 0.6, 31) + index % 25, np.zeros(31), np.full(31, index // 25)]),
        )
        for index in range(count)
    ]
    with closing(MapStore(path)) as store:
        store.save(cracks, [], count + 1)
    return path


@contextmanager
def running(code: str, words: list[str], log: Path, ignored: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process that may inherit ignored signals; killed if it does not end."""

    def set_dispositions() -> None:
        for number in END_SIGNALS:  # not those of the tests, which may run under nohup
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    command = [sys.executable, "-c", f"{code}\nimport sys\nsys.exit(main())", "--ros-args", *words]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=set_dispositions
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has logged a text."""
    deadline_s = time.monotonic() + PATIENCE_S
    while text not in log.read_text(errors="replace"):
        assert process.poll() is None and time.monotonic() < deadline_s, log.read_text(errors="replace")
        time.sleep(0.01)


def assert_ended_well(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.wait(PATIENCE_S) == 0, log.read_text(errors="replace")
    text = log.read_text(errors="replace")
    assert "Traceback" not in text and "ERROR" not in text and "terminate called" not in text, text


def assert_saved(folder: Path, count: int = CRACKS) -> None:
    """Database, GeoJSON and CSV hold every crack."""
    with closing(MapStore(folder / "map.sqlite")) as store:
        assert len(store.load()) == count and store.rescue is None
    assert len(load_map_geojson(folder / "crack_map.geojson")) == count
    with (folder / "crack_map.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == count + 1
    assert not list(folder.glob(".*partial*"))


def mapper_words(path: Path) -> list[str]:
    return ["-p", "autostart:=true", "-p", f"database:={path}", "-p", "diagnostics_period_s:=0.1"]


@pytest.mark.parametrize("repetition", range(REPETITIONS))
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT)],
    ids=lambda signals: "_".join(number.name for number in signals),
)
def test_mapper_ended_by_signals_saves_all_cracks(
    signals: tuple[signal.Signals, ...], repetition: int, tmp_path: Path
) -> None:
    log, moment = tmp_path / "log", random.Random(repetition)
    with running(MAPPER, mapper_words(map_of(tmp_path)), log) as process:
        wait_for("Mapping the detections", log, process)
        time.sleep(moment.uniform(0.0, 0.2))
        for number in signals:
            if process.poll() is None:
                process.send_signal(number)
            time.sleep(moment.uniform(0.0, 0.15))
        assert_ended_well(process, log)
    assert_saved(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_mapper_with_an_inherited_ignored_sigint_ends_on_the_signal(number: signal.Signals, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(MAPPER, mapper_words(map_of(tmp_path, 3)), log, ignored=(signal.SIGINT,)) as process:
        wait_for("Mapping the detections", log, process)
        process.send_signal(number)
        assert_ended_well(process, log)
    assert_saved(tmp_path, 3)


def test_mapper_under_nohup_ignores_sighup(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(MAPPER, mapper_words(map_of(tmp_path, 3)), log, ignored=(signal.SIGHUP,)) as process:
        wait_for("Mapping the detections", log, process)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGTERM)
        assert_ended_well(process, log)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_node_ended_while_a_timer_callback_publishes_ends_cleanly(
    number: signal.Signals, tiny_model: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = ["-p", "autostart:=true", "-p", f"model:={tiny_model}", "-p", "diagnostics_period_s:=0.1"]
    with running(NODE + SLOW_DIAGNOSTICS, words, log) as process:
        wait_for("CALLBACK", log, process)
        process.send_signal(number)
        assert_ended_well(process, log)


def test_node_interrupted_while_it_configures_ends_cleanly(tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow = "import time\nwarm = CrackNode.on_configure\nCrackNode.on_configure = lambda self, state: (print('BEGUN', "
    slow += "flush=True), time.sleep(0.5), warm(self, state))[2]\n"
    with running(f"{NODE}\n{slow}", ["-p", "autostart:=true"], log) as process:
        wait_for("BEGUN", log, process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert_ended_well(process, log)


STATES = {
    "inactive": ("activate", "deactivate"),
    "unconfigured": ("activate", "deactivate", "cleanup"),
    "finalized": ("activate", "shutdown"),
}
"""State -> transitions after configure that lead to it."""
BRING_TO_STATE = """
from crack_perception.ros.common.lifecycle import ManagedNode
activate = ManagedNode.trigger_activate
def bring_to_state(self):
    ManagedNode.trigger_activate = activate
    for name in {names}:
        assert getattr(self, "trigger_" + name)().name == "SUCCESS", name
    print("REACHED", flush=True)
ManagedNode.trigger_activate = bring_to_state
"""


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("main", [MAPPER, NODE], ids=["mapper", "node"])
def test_node_ended_by_signals_in_any_state_ends_cleanly(
    main: str, state: str, tiny_model: Path, tmp_path: Path
) -> None:
    log, path = tmp_path / "log", map_of(tmp_path, 3)
    words = mapper_words(path) if main == MAPPER else ["-p", "autostart:=true", "-p", f"model:={tiny_model}"]
    with running(main + BRING_TO_STATE.format(names=STATES[state]), words, log) as process:
        wait_for("REACHED", log, process)
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        assert_ended_well(process, log)
    with closing(MapStore(path)) as store:
        assert len(store.load()) == 3


TRIGGERS = ("configure", "activate", "deactivate", "cleanup", "shutdown")
# A shutdown ends the node for good: it comes rarely, so that there are long sequences too.
WEIGHTS = (10, 10, 10, 10, 1)
ALLOWED = {
    ("unconfigured", "configure"): "inactive",
    ("inactive", "activate"): "active",
    ("active", "deactivate"): "inactive",
    ("inactive", "cleanup"): "unconfigured",
    ("unconfigured", "shutdown"): "finalized",
    ("inactive", "shutdown"): "finalized",
    ("active", "shutdown"): "finalized",
}


@dataclass
class Managed:
    """A node under test that spins in a thread of its own; ``of`` is the object that does so."""

    of: Any
    node: ManagedNode
    in_node: Callable[[Callable[[], Any]], Any]


def flying_node(**parameters: Any) -> Managed:
    flight = Flight(**parameters)
    return Managed(flight, flight.node, flight.in_node)


def mapping_node(**parameters: Any) -> Managed:
    survey = Survey(**parameters)
    return Managed(survey, survey.mapper_node, survey.in_mapper)


def trigger(managed: Managed, name: str) -> bool:
    """Ask for a transition as the services do; whether it was allowed and succeeded."""

    def act() -> bool:
        try:
            return bool(getattr(managed.node, f"trigger_{name}")().name == "SUCCESS")
        except Exception as error:
            assert type(error).__name__ == "RCLError", error
            return False

    return bool(managed.in_node(act))


def assert_survives_random_transitions(make: Callable[[], Managed]) -> Managed:
    """Ask for transitions in random order, also those that a state does not allow; the node, unconfigured."""
    managed, chosen, state = make(), random.Random(12), "unconfigured"
    threads = shutdowns = 0
    for step in range(TRANSITIONS):
        (name,) = chosen.choices(TRIGGERS, WEIGHTS)
        goal = ALLOWED.get((state, name))
        assert trigger(managed, name) == (goal is not None), f"step {step}: {name} in {state}"
        state = goal or state
        if state == "finalized":
            assert not any(trigger(managed, each) for each in TRIGGERS)
            managed.of.stop()
            managed, state = make(), "unconfigured"
            shutdowns += 1
        if state == "unconfigured":
            threads = threads or threading.active_count()
            assert threading.active_count() <= threads + 1, [thread.name for thread in threading.enumerate()]
    assert shutdowns or TRANSITIONS < 100
    while state != "unconfigured":
        name = "deactivate" if state == "active" else "cleanup"
        assert trigger(managed, name)
        state = ALLOWED[(state, name)]
    return managed


def test_lifecycle_transitions_in_random_order_keep_the_node_usable(tiny_model: Path) -> None:
    """Transitions that a state does not allow are refused; after any sequence the node flies, with as many threads."""
    init_ros()
    flight = assert_survives_random_transitions(lambda: flying_node(model=str(tiny_model), diagnostics_period_s=0.2)).of
    try:
        flight.start()
        flight.fly_one_frame()
    finally:
        flight.stop()


def test_lifecycle_transitions_in_random_order_keep_the_mapper_and_its_map(tmp_path: Path) -> None:
    """The map is loaded and saved hundreds of times without losing a crack, and the mapper maps afterwards."""
    init_ros()
    path = map_of(tmp_path, 20)
    survey = assert_survives_random_transitions(
        lambda: mapping_node(database=str(path), output_folder=str(tmp_path))
    ).of
    try:
        survey.start()
        # Beside the stored cracks, which are confirmed.
        for _ in range(4):
            survey.send(crack(40.0))
        survey.status(cracks_confirmed="21")
    finally:
        survey.stop()
    assert_saved(tmp_path, 21)


def test_mapper_shut_down_by_a_manager_saves_all_cracks_and_stays_until_a_signal(tmp_path: Path) -> None:
    init_ros()
    log, observer = tmp_path / "log", rclpy.create_node("ends_observer")

    def answer(service: type, name: str, request: object, patience_s: float = PATIENCE_S) -> Any:
        client = observer.create_client(service, f"/crack_mapper/{name}")
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(request)
        rclpy.spin_until_future_complete(observer, future, timeout_sec=patience_s)
        observer.destroy_client(client)
        return future.result() if future.done() else None

    def label() -> str:
        state = answer(GetState, "get_state", GetState.Request())
        assert state is not None
        return state.current_state.label

    try:
        with running(MAPPER, mapper_words(map_of(tmp_path)), log) as process:
            wait_for("Mapping the detections", log, process)
            shutdown = Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN)
            outcome = answer(ChangeState, "change_state", ChangeState.Request(transition=shutdown), 20.0)
            # On a busy machine the middleware may lose the answer to a client that it has just discovered.
            while outcome is None and label() != "finalized":
                outcome = answer(ChangeState, "change_state", ChangeState.Request(transition=shutdown), 20.0)
            assert outcome is None or outcome.success
            assert_saved(tmp_path)
            assert label() == "finalized"
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert_ended_well(process, log)
    finally:
        observer.destroy_node()
