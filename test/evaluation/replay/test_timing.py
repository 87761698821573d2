# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rate, age and jitter figures, read-ahead and picture spool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from patience import PATIENCE_S

from crack_perception.evaluation.recordings.bag import BagMessage
from crack_perception.evaluation.replay.pictures import PictureSpool
from crack_perception.evaluation.replay.read_ahead import ReadAhead
from crack_perception.evaluation.replay.timing import SentImage, age_figures, ages_ms, jitter_figures, rate_hz, rounded

SENT = [SentImage(10, 1.0), SentImage(20, 1.1), SentImage(None, 1.15), SentImage(30, 1.2), SentImage(40, 1.3)]


def test_ages_ms_includes_images_with_results() -> None:
    assert ages_ms(SENT, {10: 1.05, 30: 1.28, 99: 5.0}) == [(10, pytest.approx(50.0)), (30, pytest.approx(80.0))]


def test_age_figures_returns_median_p95_and_max() -> None:
    figures = age_figures([10.0, 20.0, 30.0, 40.0, 100.0])
    assert figures == {"median": 30.0, "p95": pytest.approx(88.0), "max": 100.0}
    assert age_figures([]) is None


def test_jitter_figures_are_changes_of_age() -> None:
    # Changes +10, -30, 0: absolute 10, 30, 0; mean 40/3, sigma sqrt(1000/3 - 1600/9).
    figures = jitter_figures([40.0, 50.0, 20.0, 20.0])
    assert figures == {
        "mean": pytest.approx(40 / 3),
        "max": pytest.approx(30.0),
        "sigma": pytest.approx((1000 / 3 - 1600 / 9) ** 0.5),
    }
    assert jitter_figures([40.0]) is None


def test_rate_hz_counts_intervals() -> None:
    assert rate_hz([5.0, 5.1, 5.3, 5.4]) == pytest.approx(7.5)
    assert rate_hz([5.0]) is None


def test_rounded_keeps_the_structure() -> None:
    assert rounded({"a": [1.23456789, 2], "b": {"c": None, "d": "x", "e": True}}, 3) == {
        "a": [1.23, 2],
        "b": {"c": None, "d": "x", "e": True},
    }


def messages(sizes: list[int]) -> list[BagMessage]:
    """Return messages of these sizes, stamped 0, 1, 2, ..."""
    return [BagMessage("/t", index, bytes(size)) for index, size in enumerate(sizes)]


def test_read_ahead_yields_all_messages_in_order() -> None:
    with closing(ReadAhead(messages([10] * 200), budget_bytes=35)) as ahead:
        assert [message.stamp_ns for message in ahead] == list(range(200))


def test_read_ahead_budget_reached_stops_reading() -> None:
    read: list[int] = []
    third = threading.Event()

    def source() -> Iterator[BagMessage]:
        for message in messages([10] * 10):
            read.append(message.stamp_ns)
            if message.stamp_ns == 3:
                third.set()
            yield message

    with closing(ReadAhead(source(), budget_bytes=25)) as ahead:
        ahead.wait_until_filled(PATIENCE_S)
        # Three messages reach the budget; a fourth is read and waits for room.
        assert third.wait(PATIENCE_S)
        assert read == [0, 1, 2, 3]


def test_read_ahead_exception_reaches_the_consumer() -> None:
    def source() -> Iterator[BagMessage]:
        yield from messages([1])
        raise OSError("the disk is gone")

    with closing(ReadAhead(source())) as ahead, pytest.raises(OSError, match="the disk is gone"):
        assert [message.stamp_ns for message in ahead] == [0]


def test_picture_spool_returns_pictures_and_deletes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with closing(PictureSpool(path)) as pictures:
        pictures.append(20, b"second")
        pictures.append(10, b"first")
        assert pictures.read(20) == b"second"
        pictures.append(30, b"third")
        assert pictures.stamps_ns == [10, 20, 30]
        assert [pictures.read(stamp) for stamp in (10, 30)] == [b"first", b"third"]
        with pytest.raises(KeyError):
            pictures.read(11)
    assert not path.exists()
