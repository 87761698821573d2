"""The rendezvous of two threads: in order, nothing lost, and the giver never ahead of the taker."""

from __future__ import annotations

import threading

from patience import PATIENCE_S, wait_for

from crack_perception.ros.detector.rendezvous import Handover


def test_the_giver_waits_until_its_item_is_taken() -> None:
    handover: Handover[str] = Handover()
    giver = threading.Thread(target=handover.give, args=("frame",), daemon=True)
    assert not handover.is_waiting
    giver.start()
    wait_for(lambda: handover.is_waiting)
    giver.join(0.05)
    assert giver.is_alive() and handover.is_waiting
    assert handover.take() == "frame"
    giver.join(PATIENCE_S)
    assert not giver.is_alive() and not handover.is_waiting


def test_take_waits_for_an_item_and_ends_when_the_giver_closes() -> None:
    handover: Handover[int] = Handover()
    taken: list[int | None] = []
    taker = threading.Thread(target=lambda: taken.extend((handover.take(), handover.take())), daemon=True)
    taker.start()
    taker.join(0.05)
    assert taker.is_alive()
    handover.give(1)
    handover.close()
    taker.join(PATIENCE_S)
    assert taken == [1, None]


def test_every_item_goes_over_once_and_in_order() -> None:
    handover: Handover[int] = Handover()
    given: list[int] = []

    def give() -> None:
        for item in range(2000):
            given.append(item)
            handover.give(item)
        handover.close()

    threading.Thread(target=give, daemon=True).start()
    taken = []
    while (item := handover.take()) is not None:
        taken.append(item)
        assert given[-1] <= item + 1
        if item % 500 == 0:
            wait_for(lambda item=item: given[-1] == min(item + 1, 1999))
    assert taken == list(range(2000))
