# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions to topics that bring more messages than images: all that wait are taken together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

# Time between two rounds through the inbox while nothing asks for it.
_PERIOD_S = 0.1
# Events of quality of service (incompatible publishers) are rare: the executor waits for them for a part of a second.
_EVENTS_PERIOD_S = 1.0
_EVENTS_S = 0.1

Take = Callable[[Any], object]


def subscribe_to_stream(node: Node, kind: type, topic: str, callback: Take, profile: QoSProfile) -> Subscription[Any]:
    """Subscribe to samples that arrive faster than the executor may come round, and are wanted at once.

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
        _take_waiting(stream)

    subscription: Subscription[Any] = node.create_subscription(kind, topic, receive, profile)
    stream = _Stream(subscription, kind, callback, profile.depth)
    return subscription


class Inbox:
    """Topics whose messages wait in their queues until ``receive`` takes them, in whatever thread.

    For every message that wakes it, rclpy's executor builds its wait set anew, from all topics, events, services and
    timers of the node, which takes longer than taking the message. A drone sends 140 poses, transforms, ranges and
    camera_info a second but 10 to 30 images, and only an image needs the others. So these topics do not wake the
    executor: crack_node takes their messages when an image arrives and when a frame needs its pose.

    Args:
        node: That subscribes.
        is_timed: Take what nobody asked for every 0.1 s, in the executor's thread. False where the owner does.
    """

    def __init__(self, node: Node, is_timed: bool = True) -> None:
        self._node = node
        self._group = _AsleepGroup()
        self._streams: list[_Stream] = []
        self._lock = threading.Lock()
        self._received_s = 0.0
        self._timer = None
        if is_timed:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(_PERIOD_S, self._receive_if_due, clock=steady)

    def subscribe(
        self,
        kind: type,
        topic: str,
        callback: Take,
        qos_profile: QoSProfile,
        qos_overriding_options: QoSOverridingOptions | None = None,
    ) -> None:
        """Subscribe to a topic; its messages are taken in the order of arrival, after those of earlier topics.

        Args:
            kind: Type of the messages.
            topic: Their topic.
            callback: Called with each message by the thread that calls ``receive``, never by two at a time.
            qos_profile: Quality of service; its depth must hold the messages of the time between two rounds.
            qos_overriding_options: Policies of it that parameters may change.
        """
        subscription = self._node.create_subscription(
            kind,
            topic,
            callback,
            qos_profile,
            callback_group=self._group,
            qos_overriding_options=qos_overriding_options,
        )
        with self._lock:
            self._streams.append(_Stream(subscription, kind, callback, qos_profile.depth))

    def receive(self) -> None:
        """Take all messages that wait."""
        with self._lock:
            for stream in self._streams:
                _take_waiting(stream)
            self._received_s = time.monotonic()

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        with self._lock:
            streams, self._streams = self._streams, []
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for stream in streams:
            self._node.destroy_subscription(stream.subscription)

    def _receive_if_due(self) -> None:
        if time.monotonic() - self._received_s >= _PERIOD_S / 2:
            self.receive()


class _Stream(NamedTuple):
    """Subscription whose messages are taken together, at most ``most`` at a time."""

    subscription: Subscription[Any]
    kind: type
    callback: Take
    most: int


def _take_waiting(stream: _Stream) -> None:
    """Call the callback with all messages that wait, oldest first."""
    # No more than the queue holds, so that a flood cannot keep the thread here.
    for _ in range(stream.most):
        with stream.subscription.handle:
            taken = stream.subscription.handle.take_message(stream.kind, False)
        if taken is None:
            return
        stream.callback(taken[0])


class _AsleepGroup(CallbackGroup):
    """Callback group that the executor leaves out of its wait set, except for the events of its topics at times."""

    def can_execute(self, entity: Any) -> bool:
        """Return whether the executor may wait for an entity."""
        return not isinstance(entity, Subscription) and time.monotonic() % _EVENTS_PERIOD_S < _EVENTS_S

    def beginning_execution(self, entity: Any) -> bool:
        """Allow the execution."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """Note the end of the execution, which changes nothing."""
