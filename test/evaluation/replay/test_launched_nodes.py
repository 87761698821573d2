# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Lifecycle of the nodes of replay.launch.py: lost requests, silence, refusals, and saving at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from lifecycle_msgs.msg import State
from patience import PATIENCE_S, wait_for
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.launched_nodes import LaunchedNodes
from crack_perception.evaluation.replay.node_client import spinning_node

SHORT_S = 1.0
COUNT = count()


class Launched(LifecycleNode):
    """Lifecycle node with a service ``save``; it responds from ``spin`` on."""

    def __init__(self, name: str, context: Context) -> None:
        super().__init__(name.rpartition("/")[2], namespace=name.rpartition("/")[0], context=context)
        self.result = TransitionCallbackReturn.SUCCESS
        self.saved = (True, "Saved 3 cracks")
        self.changes: list[str] = []
        self.declare_parameter("database", "")
        self.declare_parameter("output_folder", "maps")
        self.create_service(Trigger, "~/save", self._save)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def spin(self) -> None:
        """Respond from now on."""
        self._thread.start()

    def end(self) -> None:
        """Respond no longer."""
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join()
        self.destroy_node()

    def lose_request(self, service: str) -> None:
        """Wait for a request to a service and drop it, as a busy machine does before the client is discovered."""
        (found,) = (item for item in self.services if item.srv_name.endswith(service))
        lost: list[object] = []

        def take() -> bool:
            with found.handle:
                _, header = found.handle.service_take_request(found.srv_type.Request)
            lost.extend([] if header is None else [header])
            return bool(lost)

        wait_for(take)

    def answer_state(self) -> None:
        """Answer one question for the state, without taking other requests."""
        (found,) = (item for item in self.services if item.srv_name.endswith("/get_state"))
        answered: list[object] = []

        def answer() -> bool:
            with found.handle:
                _, header = found.handle.service_take_request(found.srv_type.Request)
            if header is not None:
                found.send_response(found.srv_type.Response(current_state=State(id=1)), header)
                answered.append(header)
            return bool(answered)

        wait_for(answer)

    def _run(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.changes.append("save")
        response.success, response.message = self.saved
        return response

    def _note(self, name: str) -> TransitionCallbackReturn:
        self.changes.append(name)
        return self.result

    def on_configure(self, state: object) -> TransitionCallbackReturn:
        """Note it."""
        return self._note("configure")

    def on_activate(self, state: object) -> TransitionCallbackReturn:
        """Note it."""
        return self._note("activate")

    def on_deactivate(self, state: object) -> TransitionCallbackReturn:
        """Note it."""
        return self._note("deactivate")


Pair = tuple[LaunchedNodes, Launched, Launched]


@pytest.fixture(scope="module")
def participants(ros_graph_of_its_own: int) -> Iterator[tuple[Context, Node]]:
    """Return a context for nodes and a client of them, for all tests.

    A participant of DDS that is made again in one process has the identifier of the one before: others take its
    announcements for old ones, and may never find it.
    """
    context = Context()
    context.init(domain_id=ros_graph_of_its_own)
    with spinning_node("launch_client", ros_graph_of_its_own) as client:
        yield context, client
    context.try_shutdown()


@pytest.fixture
def pair(participants: tuple[Context, Node]) -> Iterator[Callable[[], Pair]]:
    """Return a factory of two nodes, with names of their own, that do not respond yet and their client."""
    context, client = participants
    with ExitStack() as stack:

        def make(check: Callable[[], None] = lambda: None) -> Pair:
            namespace = f"/launched_{next(COUNT)}"
            nodes = [Launched(f"{namespace}/{name}", context) for name in ("crack_mapper", "crack_node")]
            for node in nodes:
                stack.callback(node.end)
            mapper, detector = nodes
            launched = LaunchedNodes(
                client, mapper.get_fully_qualified_name(), detector.get_fully_qualified_name(), check
            )
            return launched, mapper, detector

        yield make


def test_launched_nodes_are_activated_and_finished_in_order(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    for node in (mapper, detector):
        node.spin()
    launched.activate(PATIENCE_S)
    assert mapper.changes == detector.changes == ["configure", "activate"]
    assert launched.finish(PATIENCE_S, PATIENCE_S) == "Saved 3 cracks"
    assert mapper.changes[2:] == ["save"] and detector.changes[2:] == ["deactivate"]


def test_launched_nodes_lost_first_requests_are_repeated(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    detector.spin()
    activation = threading.Thread(target=launched.activate, args=(PATIENCE_S,), daemon=True)
    activation.start()
    for _ in range(2):
        mapper.lose_request("get_state")
    mapper.spin()
    activation.join(PATIENCE_S)
    assert not activation.is_alive()
    assert mapper.changes == detector.changes == ["configure", "activate"]


@pytest.mark.slow
def test_launched_nodes_lost_transition_is_repeated(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    mapper.spin()
    activation = threading.Thread(target=launched.activate, args=(PATIENCE_S,), daemon=True)
    activation.start()
    wait_for(lambda: mapper.changes == ["configure", "activate"])
    detector.answer_state()
    detector.lose_request("change_state")
    detector.spin()
    activation.join(PATIENCE_S)
    assert detector.changes == ["configure", "activate"]


def test_launched_nodes_silent_node_is_named_after_the_time_limit(pair: Callable[[], Pair]) -> None:
    launched, mapper, _ = pair()
    name = mapper.get_fully_qualified_name()
    with pytest.raises(UserError, match=rf"{name} (did not answer|has no lifecycle services).* {SHORT_S:.0f} s"):
        launched.activate(SHORT_S)
    assert mapper.changes == []


def test_launched_nodes_refused_transition_is_named(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    detector.result = TransitionCallbackReturn.FAILURE
    for node in (mapper, detector):
        node.spin()
    with pytest.raises(UserError, match=f"{detector.get_fully_qualified_name()} refused to configure"):
        launched.activate(PATIENCE_S)


def test_launched_nodes_map_is_saved_though_the_detector_is_silent(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    mapper.spin()
    name = detector.get_fully_qualified_name()
    with pytest.raises(UserError, match=rf"{name} (did not answer|has no lifecycle services)"):
        launched.finish(SHORT_S, PATIENCE_S)
    assert mapper.changes == ["save"]


def test_launched_nodes_map_that_is_not_saved_is_a_failure(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    mapper.saved = (False, "the disk is full")
    for node in (mapper, detector):
        node.spin()
    launched.activate(PATIENCE_S)
    with pytest.raises(UserError, match="the map was not saved: the disk is full"):
        launched.finish(PATIENCE_S, PATIENCE_S)


def test_launched_nodes_map_without_a_folder_is_not_saved(pair: Callable[[], Pair]) -> None:
    launched, mapper, detector = pair()
    mapper.set_parameters([Parameter("output_folder", value="")])
    for node in (mapper, detector):
        node.spin()
    launched.activate(PATIENCE_S)
    assert "set map_folder to keep it" in launched.finish(PATIENCE_S, PATIENCE_S)
    assert "save" not in mapper.changes


def test_launched_nodes_waiting_ends_with_the_launch(pair: Callable[..., Pair]) -> None:
    def ended() -> None:
        raise UserError("the launch is being ended")

    launched, _, _ = pair(ended)
    with pytest.raises(UserError, match="being ended"):
        launched.activate(PATIENCE_S)
