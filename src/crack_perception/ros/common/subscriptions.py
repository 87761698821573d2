# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions whose messages are all received in one turn of the executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription


def subscribe_to_stream(
    node: Node, kind: type, topic: str, callback: Callable[[Any], object], profile: QoSProfile
) -> Subscription[Any]:
    """Subscribe to samples that arrive faster than the executor may come round, such as poses and ranges.

    The executor takes one message of every topic in a turn. On a starved machine a turn takes longer than the period of
    such a topic: its queue stays full, and every sample is as old as the queue is long (100 transforms at 50 Hz: 2 s),
    while images, whose queue is short, are new. So the callback takes all that wait, oldest first.

    Args:
        node: That subscribes.
        kind: Type of the messages.
        topic: Their topic.
        callback: Called with each message, in the executor's thread.
        profile: Quality of service.
    """

    def receive(message: Any) -> None:
        callback(message)
        # No more than the queue holds, so that a flood cannot keep the executor here.
        for _ in range(profile.depth):
            with subscription.handle:
                taken = subscription.handle.take_message(kind, False)
            if taken is None:
                return
            callback(taken[0])

    subscription: Subscription[Any] = node.create_subscription(kind, topic, receive, profile)
    return subscription
