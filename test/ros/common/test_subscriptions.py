# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions that take all waiting messages together, in a turn of the executor or when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import rclpy
from patience import wait_for
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Int32

from crack_perception.ros.common.subscriptions import Inbox, subscribe_to_stream

DEPTH = 50


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.context.Context()
    rclpy.init(context=context)
    made = Node("stream", context=context)
    yield made
    made.destroy_node()
    context.try_shutdown()


def test_stream_with_waiting_messages_receives_all_in_one_turn_in_order(node: Node) -> None:
    received: list[int] = []
    turns: list[int] = []
    profile = QoSProfile(depth=DEPTH)
    subscription = subscribe_to_stream(node, Int32, "samples", lambda message: received.append(message.data), profile)
    publisher = node.create_publisher(Int32, "samples", profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    for number in range(DEPTH):
        publisher.publish(Int32(data=number))
    publisher.wait_for_all_acked()
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    wait_for(lambda: executor.spin_once(0.1) or turns.append(len(received)) or bool(received))
    wait_for(lambda: executor.spin_once(0.1) or len(received) == DEPTH)
    assert received == list(range(DEPTH))
    assert next(count for count in turns if count) > 1
    node.destroy_subscription(subscription)


def test_stream_with_a_flood_takes_no_more_than_the_queue_holds_in_one_turn(node: Node) -> None:
    received: list[int] = []
    profile = QoSProfile(depth=3)
    publisher = node.create_publisher(Int32, "samples", profile)

    def take(message: Int32) -> None:
        received.append(message.data)
        if len(received) < DEPTH:
            publisher.publish(Int32(data=message.data + 1))
            publisher.wait_for_all_acked()

    subscribe_to_stream(node, Int32, "samples", take, profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Int32(data=0))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    wait_for(lambda: executor.spin_once(0.1) or bool(received))
    assert len(received) <= 1 + profile.depth


def test_inbox_leaves_messages_in_the_queue_until_they_are_asked_for(node: Node) -> None:
    received: list[int] = []
    profile = QoSProfile(depth=DEPTH)
    inbox = Inbox(node)
    inbox.subscribe(Int32, "samples", lambda message: received.append(message.data), profile)
    publisher = node.create_publisher(Int32, "samples", profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    for number in range(DEPTH):
        publisher.publish(Int32(data=number))
    publisher.wait_for_all_acked()
    assert received == []
    wait_for(lambda: inbox.receive() or len(received) == DEPTH)
    assert received == list(range(DEPTH))
    inbox.destroy()
    publisher.publish(Int32(data=DEPTH))
    inbox.receive()
    assert received == list(range(DEPTH))


def test_inbox_messages_do_not_wake_the_executor(node: Node) -> None:
    inbox = Inbox(node, is_timed=False)
    received: list[int] = []
    profile = QoSProfile(depth=DEPTH)
    inbox.subscribe(Int32, "samples", lambda message: received.append(message.data), profile)
    publisher = node.create_publisher(Int32, "samples", profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    publisher.publish(Int32(data=1))
    publisher.wait_for_all_acked()
    for _ in range(5):
        executor.spin_once(0.05)
    assert received == []
    wait_for(lambda: inbox.receive() or received == [1])


def test_inbox_that_nobody_asks_is_emptied_by_its_timer(node: Node) -> None:
    received: list[int] = []
    profile = QoSProfile(depth=DEPTH)
    inbox = Inbox(node)
    inbox.subscribe(Int32, "samples", lambda message: received.append(message.data), profile)
    publisher = node.create_publisher(Int32, "samples", profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Int32(data=7))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    wait_for(lambda: executor.spin_once(0.1) or received == [7])
    inbox.destroy()


def test_inbox_with_a_flood_takes_no_more_than_the_queue_holds_at_a_time(node: Node) -> None:
    received: list[int] = []
    profile = QoSProfile(depth=3)
    publisher = node.create_publisher(Int32, "samples", profile)

    def take(message: Int32) -> None:
        received.append(message.data)
        publisher.publish(Int32(data=message.data + 1))
        publisher.wait_for_all_acked()

    inbox = Inbox(node)
    inbox.subscribe(Int32, "samples", take, profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Int32(data=0))
    wait_for(lambda: inbox.receive() or bool(received))
    assert len(received) <= profile.depth
    inbox.destroy()


def test_inbox_two_threads_that_ask_at_once_keep_the_order(node: Node) -> None:
    received: list[int] = []
    profile = QoSProfile(depth=10 * DEPTH)
    inbox = Inbox(node)
    inbox.subscribe(Int32, "samples", lambda message: received.append(message.data), profile)
    publisher = node.create_publisher(Int32, "samples", profile)
    wait_for(lambda: publisher.get_subscription_count() == 1)
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            inbox.receive()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(10 * DEPTH):
        publisher.publish(Int32(data=number))
    try:
        wait_for(lambda: len(received) == 10 * DEPTH)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert received == list(range(10 * DEPTH))
    inbox.destroy()


def test_inbox_incompatible_publisher_is_reported_by_the_executor(
    node: Node, capfd: pytest.CaptureFixture[str]
) -> None:
    inbox = Inbox(node)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    inbox.subscribe(Int32, "samples", lambda message: None, latched)
    node.create_publisher(Int32, "samples", QoSProfile(depth=1))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    seen: list[str] = []
    wait_for(lambda: executor.spin_once(0.1) or seen.append(capfd.readouterr().err) or "DURABILITY" in "".join(seen))
    inbox.destroy()
