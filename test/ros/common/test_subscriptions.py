# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions that receive all waiting messages in one turn of the executor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import rclpy
from patience import wait_for
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Int32

from crack_perception.ros.common.subscriptions import subscribe_to_stream

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
