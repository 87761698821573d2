"""The one-slot mailbox: the newest wins, nothing is lost uncounted."""

from __future__ import annotations

import threading

from crack_perception.ros.detector.mailbox import Mailbox


def test_the_newest_item_replaces_the_one_that_waits() -> None:
    box: Mailbox[int] = Mailbox()
    lost = [box.put(item) for item in range(5)]
    assert box.take() == 4
    assert lost == [0, 1, 1, 1, 1]


def test_take_waits_for_an_item() -> None:
    box: Mailbox[str] = Mailbox()
    taken: list[str | None] = []
    thread = threading.Thread(target=lambda: taken.append(box.take()))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert box.put("frame") == 0
    thread.join(5)
    assert taken == ["frame"]


def test_close_wakes_the_taker_and_counts_what_is_left() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    assert box.close() == 1
    assert box.take() is None
    assert box.put(2) == 1
    assert box.take() is None
    assert box.close() == 0


def test_nothing_is_lost_uncounted_between_fast_threads() -> None:
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


def test_it_tells_whether_an_item_waits() -> None:
    box: Mailbox[int] = Mailbox()
    assert not box.is_waiting
    box.put(1)
    assert box.is_waiting
    box.take()
    assert not box.is_waiting
