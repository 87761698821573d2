"""What every test gets: a ROS 2 graph of its own, slow tests last, and no green run without a passed test."""

from __future__ import annotations

import os

import pytest

FIRST_DOMAIN_ID = 1
DOMAIN_IDS = 100  # Linux's ephemeral ports begin above domain 101.


def isolate_ros_graph() -> None:
    """Keep this run, and the processes it starts, apart from every robot on the network and other runs here."""
    os.environ["ROS_DOMAIN_ID"] = str(FIRST_DOMAIN_ID + os.getpid() % DOMAIN_IDS)
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    else:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


isolate_ros_graph()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests after the others, each group in its own order."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run in which nothing passed (everything skipped) proves nothing, so it does not count as green."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    only_collected = session.config.option.collectonly
    if exitstatus == pytest.ExitCode.OK and not only_collected and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
