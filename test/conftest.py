# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Set-up of all tests: an isolated ROS 2 graph, signals, slow tests last, failure if no test passed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crack_perception.evaluation.replay.ros_isolation import isolated_ros

if TYPE_CHECKING:
    from flying_node import Flight, TakeOff

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

USERS_ROS_SETTINGS = (
    "ROS_DOMAIN_ID",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_LOCALHOST_ONLY",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "CYCLONEDDS_URI",
)


def pytest_configure() -> None:
    """Restore SIGINT if it is ignored (background jobs, nohup), and let SIGTERM end the run.

    Processes that tests start would inherit an ignored SIGINT. ``rclpy.init`` replaces the default reaction to SIGTERM,
    which ends a process, by one that only shuts down ROS and calls the handler before, if there is one.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_run)
        # A forked process must not end the run again. Python forgets signals that arrive while it forks, so that they
        # are held back until the new process has the default reaction.
        os.register_at_fork(
            before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}),
            after_in_parent=_receive_sigterm,
            after_in_child=_end_by_sigterm,
        )


def _end_run(number: int, frame: object) -> None:
    """Stop the tests; fixtures end the processes that they have started."""
    signal.signal(number, signal.SIG_DFL)
    pytest.exit("SIGTERM", 128 + number)


def _receive_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_by_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _receive_sigterm()


@pytest.fixture(scope="session", autouse=True)
def ros_graph_of_its_own() -> Iterator[int]:
    """Isolate this run and its processes from the user's robots and from other runs; yields the domain."""
    with pytest.MonkeyPatch.context() as environment:
        for name in USERS_ROS_SETTINGS:
            environment.delenv(name, raising=False)
        with isolated_ros() as domain:
            yield domain


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny real model."""
    from tiny_model import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def take_off(tiny_model: Path) -> Iterator[TakeOff]:
    """Return a factory of flights with the tiny model; stop them after the test."""
    from flying_node import Flight, init_ros

    init_ros()
    flights: list[Flight] = []

    def make(**parameters: Any) -> Flight:
        # The tests are the camera, which pauses for seconds on a loaded machine.
        defaults = {"model": str(tiny_model), "diagnostics_period_s": 0.2, "no_image_warning_s": 60.0}
        flights.append(Flight(**(defaults | parameters)))
        return flights[-1]

    yield make
    for flight in flights:
        flight.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests after the others, each group in its original order."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Escape what is not text in a test's output (names of files): pytest-xdist sends it to another process."""
    outcome = yield
    report = outcome.get_result()
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which no test passed (all skipped, or none collected).

    The exit code is that of failed tests, because colcon treats pytest's code for "no tests collected" as success.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a process of pytest-xdist: the first one counts
        return
    is_green = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if is_green and not session.config.option.collectonly and not reporter.stats.get("passed"):
        reporter.write_line("No test passed, so this run counts as failed.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
