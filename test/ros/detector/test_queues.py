# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Mailbox and rendezvous queue between threads: order, losses, waiting and closing."""

from __future__ import annotations

import threading

from patience import PATIENCE_S, wait_for

from crack_perception.ros.detector.queues import Mailbox, RendezvousQueue


def test_mailbox_put_several_keeps_the_newest() -> None:
    box: Mailbox[int] = Mailbox()
    lost = [box.put(item) for item in range(5)]
    assert box.take() == 4
    assert lost == [0, 1, 1, 1, 1]


def test_mailbox_take_waits_for_an_item() -> None:
    box: Mailbox[str] = Mailbox()
    taken: list[str | None] = []
    thread = threading.Thread(target=lambda: taken.append(box.take()))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert box.put("frame") == 0
    thread.join(5)
    assert taken == ["frame"]


def test_mailbox_close_wakes_the_consumer_and_counts_the_waiting_item() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    assert box.close() == 1
    assert box.take() is None
    assert box.put(2) == 1
    assert box.take() is None
    assert box.close() == 0


def test_mailbox_fast_threads_every_item_is_taken_or_counted() -> None:
    box: Mailbox[int] = Mailbox()
    taken: list[int] = []

    def consume() -> None:
        while (item := box.take()) is not None:
            taken.append(item)

    thread = threading.Thread(target=consume)
    thread.start()
    lost = sum(box.put(item) for item in range(20_000)) + box.close()
    thread.join(10)
    assert len(taken) + lost == 20_000
    assert taken == sorted(taken)


def test_mailbox_is_waiting_holds_until_the_item_is_taken() -> None:
    box: Mailbox[int] = Mailbox()
    assert not box.is_waiting
    box.put(1)
    assert box.is_waiting
    box.take()
    assert not box.is_waiting


def test_rendezvous_put_waits_until_the_item_is_taken() -> None:
    queue: RendezvousQueue[str] = RendezvousQueue()
    producer = threading.Thread(target=queue.put, args=("frame",), daemon=True)
    assert not queue.is_waiting
    producer.start()
    wait_for(lambda: queue.is_waiting)
    producer.join(0.05)
    assert producer.is_alive() and queue.is_waiting
    assert queue.take() == "frame"
    producer.join(PATIENCE_S)
    assert not producer.is_alive() and not queue.is_waiting


def test_rendezvous_take_waits_for_an_item_and_ends_on_close() -> None:
    queue: RendezvousQueue[int] = RendezvousQueue()
    taken: list[int | None] = []
    consumer = threading.Thread(target=lambda: taken.extend((queue.take(), queue.take())), daemon=True)
    consumer.start()
    consumer.join(0.05)
    assert consumer.is_alive()
    queue.put(1)
    queue.close()
    consumer.join(PATIENCE_S)
    assert taken == [1, None]


def test_rendezvous_many_items_arrive_once_and_in_order() -> None:
    queue: RendezvousQueue[int] = RendezvousQueue()
    given: list[int] = []

    def produce() -> None:
        for item in range(2000):
            given.append(item)
            queue.put(item)
        queue.close()

    threading.Thread(target=produce, daemon=True).start()
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item)
        assert given[-1] <= item + 1
        if item % 500 == 0:
            wait_for(lambda item=item: given[-1] == min(item + 1, 1999))
    assert taken == list(range(2000))
