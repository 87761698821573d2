"""The parts of the benchmark that need no node: turns, the flight in memory, the search, the figures, the page."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evaluation_bags import POSE, START_NS, TYPES, camera_info, image, pose, range_reading
from hypothesis import given
from hypothesis import strategies as st

from crack_perception.cli.benchmark_parts import missing_paper_models, paper_models
from crack_perception.cli.main import main
from crack_perception.errors import UsageError
from crack_perception.evaluation.benchmark.benchmark import empty_document
from crack_perception.evaluation.benchmark.endurance import MemorySamples, growth
from crack_perception.evaluation.benchmark.flight import FlightInMemory, to_and_fro
from crack_perception.evaluation.benchmark.markdown import benchmark_markdown
from crack_perception.evaluation.benchmark.node_run import NodeRun
from crack_perception.evaluation.benchmark.plan import BenchmarkOptions
from crack_perception.evaluation.benchmark.rate_search import highest_rate
from crack_perception.evaluation.benchmark.rates import sustains
from crack_perception.evaluation.benchmark.targets import targets_of
from crack_perception.evaluation.benchmark.turns import ratio_spread, spread, times_in_turns
from crack_perception.evaluation.recordings.bag import BagMessage, BagTopic
from crack_perception.evaluation.recordings.cdr import read_header, restamped
from crack_perception.evaluation.replay.input_topics import CAMERA_INFO, IMAGE, RANGE, InputTopics
from crack_perception.evaluation.replay.timing import SentImage

PERIOD_NS = 100_000_000


# Turns


def test_calls_take_turns_after_two_untimed_ones() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = times_in_turns(calls, rounds=3, turn_s=0.0)
    # Two to begin with; then in each round one to fill the caches and one that is timed.
    assert "".join(order) == "aabb" + "aabb" * 3
    assert {name: taken.shape for name, taken in times.items()} == {"a": (3,), "b": (3,)}


def test_times_are_milliseconds_of_a_single_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(
        "crack_perception.evaluation.benchmark.turns.time", SimpleNamespace(perf_counter=lambda: now_s[0])
    )

    def nap(seconds: float) -> None:
        now_s[0] += seconds

    times = times_in_turns({"nap": lambda: nap(0.004), "longer nap": lambda: nap(0.012)}, 3, 0.02)
    assert times["nap"] == pytest.approx([4.0] * 3) and times["longer nap"] == pytest.approx([12.0] * 3)


def test_spread_and_ratio_are_those_of_the_rounds() -> None:
    assert spread([4.0, 1.0, 2.0, 3.0, 10.0]) == {"min": 1.0, "q1": 2.0, "median": 3.0, "q3": 4.0, "max": 10.0}
    # Each round has its own ratio: slowness that hits both cancels out.
    assert ratio_spread(np.array([2.0, 20.0, 3.0]), np.array([1.0, 10.0, 1.0]))["median"] == 2.0


# The flight


def flight(images: int) -> FlightInMemory:
    """With poses in the middle between images, and ranges with them."""
    step_ns = PERIOD_NS // 2
    recorded = {
        "image": ("/cam", IMAGE, image(), [index * PERIOD_NS for index in range(images)]),
        "camera_info": ("/info", CAMERA_INFO, camera_info(), [index * PERIOD_NS for index in range(images)]),
        "pose": ("/pose", POSE, pose(), [index * step_ns for index in range(2 * images)]),
        "range": ("/range", RANGE, range_reading(), [index * PERIOD_NS for index in range(images)]),
    }
    messages = {
        name: tuple(
            BagMessage(topic, START_NS + offset, bytes(TYPES.serialize_cdr(content, kind))) for offset in offsets
        )
        for name, (topic, kind, content, offsets) in recorded.items()
    }
    topics = {name: BagTopic(topic, kind, images) for name, (topic, kind, _, _) in recorded.items()}
    return FlightInMemory(InputTopics(topics, ()), {}, messages)


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_message_gets_another_stamp_and_nothing_else_changes(order: str) -> None:
    content = image(offset_ns=7, frame="cam")
    data = bytes(TYPES.serialize_cdr(content, IMAGE, little_endian=order == "little"))
    changed = restamped(data, START_NS + 5_000_000_123)
    assert read_header(changed) == (START_NS + 5_000_000_123, "cam")
    assert restamped(changed, START_NS + 7) == data


def test_a_message_that_ends_before_its_stamp_is_refused() -> None:
    with pytest.raises(ValueError, match="11 bytes"):
        restamped(bytes(11), START_NS)


@given(st.integers(1, 7), st.integers(0, 100))
def test_to_and_fro_goes_from_neighbour_to_neighbour(count: int, index: int) -> None:
    here, there = to_and_fro(index, count), to_and_fro(index + 1, count)
    assert 0 <= here < count and 0 <= there < count
    assert abs(here - there) == (1 if count > 1 else 0)


def test_to_and_fro_begins_at_the_beginning_and_reaches_the_end() -> None:
    assert [to_and_fro(index, 3) for index in range(9)] == [0, 1, 2, 1, 0, 1, 2, 1, 0]


def test_a_stream_has_its_images_at_its_rate_and_everything_in_order() -> None:
    stream = list(flight(4).stream(20.0, 50, START_NS))
    stamps = [message.stamp_ns for message in stream]
    assert stamps == sorted(stamps)
    for message in stream:
        ahead_ns = 12_000_000 if message.topic == "/info" else 0
        assert read_header(message.data).stamp_ns == message.stamp_ns + ahead_ns
    pictures = [message.stamp_ns for message in stream if message.topic == "/cam"]
    assert len(pictures) == 50
    assert np.allclose(np.diff(pictures), 50_000_000)
    infos = [read_header(message.data).stamp_ns for message in stream if message.topic == "/info"]
    assert infos == pictures
    poses = [message.stamp_ns for message in stream if message.topic == "/pose"]
    assert poses[0] < pictures[0] and np.allclose(np.diff(poses), 20_000_000)


def test_poses_follow_the_images() -> None:
    four = flight(4)
    # At ten images a second the stream runs as fast as the flight; after the last image it flies back.
    origins_ns = [four.flown_ns(image) - START_NS for image in (-2.0, 0.0, 0.5, 3.0, 3.5, 6.0)]
    assert origins_ns == pytest.approx([0, 0, PERIOD_NS / 2, 3 * PERIOD_NS, 2.5 * PERIOD_NS, 0], abs=1000)


def test_the_hash_tells_inputs_apart() -> None:
    assert flight(3).sha256 == flight(3).sha256
    assert len({flight(images).sha256 for images in (2, 3, 4)}) == 3


# The search


@given(st.floats(0.7, 300.0), st.floats(0.02, 0.5))
def test_the_search_ends_next_to_the_highest_rate(limit_hz: float, resolution: float) -> None:
    tried: list[float] = []

    def holds(rate_hz: float) -> bool:
        tried.append(rate_hz)
        return rate_hz <= limit_hz

    found = highest_rate(holds, 10.0, 240.0, resolution)
    assert found is not None and found in tried
    assert found <= limit_hz
    assert found == 240.0 or found * (1 + resolution) >= limit_hz * 0.999
    assert max(tried) <= 240.0
    assert len(tried) < 20


def test_the_search_gives_up_on_what_holds_nothing() -> None:
    assert highest_rate(lambda rate_hz: False, 10.0, 240.0, 0.1) is None


# Runs of the node


def a_run(ages_ms: list[float | None], asked_hz: float = 10.0, sent_hz: float = 10.0) -> NodeRun:
    """Images with these ages; None is one without an answer."""
    sent = tuple(SentImage(index, index / sent_hz) for index in range(len(ages_ms)))
    arrived = {index: index / sent_hz + age / 1000.0 for index, age in enumerate(ages_ms) if age is not None}
    return NodeRun(asked_hz, sent, arrived, len(arrived), [20.0, 30.0], 50.0, 200.0, 15.0, 0.001)


def test_figures_of_a_run() -> None:
    figures = a_run([30.0, None, 50.0, 40.0]).figures()
    assert (figures["sent"], figures["missed"], figures["missed_share"]) == (4, 1, 0.25)
    assert (figures["first_latency_ms"], figures["last_latency_ms"]) == (pytest.approx(30.0), pytest.approx(40.0))
    assert figures["age_ms"]["median"] == pytest.approx(40.0)
    assert figures["jitter_ms"]["max"] == pytest.approx(20.0)
    assert figures["sent_hz"] == pytest.approx(10.0)
    assert figures["rate_hz"] == pytest.approx(2 / 0.31)
    assert figures["worst_lateness_ms"] == pytest.approx(1.0)


def test_a_run_without_any_answer_has_figures_too() -> None:
    figures = a_run([None, None]).figures()
    assert figures["missed_share"] == 1.0
    assert figures["age_ms"] is None and figures["age_growth"] is None
    json.dumps(figures)


def test_ages_that_grow_are_seen() -> None:
    steady = a_run([40.0, 60.0] * 15)
    assert steady.age_growth() == pytest.approx(0.0)
    growing = a_run([40.0 + 2.0 * index for index in range(30)])
    assert growing.age_slope_ms_per_s() == pytest.approx(20.0)
    assert growing.age_growth() == pytest.approx(89.0 / 49.0 - 1.0)


def test_a_rate_is_sustained_only_if_it_was_really_sent() -> None:
    assert sustains(a_run([40.0] * 20))
    assert sustains(a_run([40.0] * 29 + [None]))
    assert not sustains(a_run([40.0] * 19 + [None]))
    assert not sustains(a_run([40.0] * 20, asked_hz=10.0, sent_hz=9.0))


def test_memory_is_sampled_once_a_second() -> None:
    times_s = iter([0.0, 0.4, 0.9, 1.0, 1.9, 2.5])
    samples = MemorySamples(pid=os.getpid(), now_s=lambda: next(times_s))
    for _ in range(6):
        samples.sample()
    assert len(samples.rss_mb) == 3
    assert len(samples.private_mb) == 3
    assert all(rss > private > 10 for rss, private in zip(samples.rss_mb, samples.private_mb, strict=True))


def test_growth_compares_the_ends() -> None:
    assert growth([100.0, *[100.0] * 18, 102.0]) == pytest.approx(0.01)
    assert growth([100.0]) is None


# The document and its page


def document() -> dict[str, Any]:
    """With some figures."""
    run = a_run([30.0] * 10, asked_hz=30.0).figures()
    return {
        **empty_document(),
        "machine": {
            "processor": "a processor",
            "threads": 2,
            "memory_gb": 8.0,
            "system": "Linux",
            "python": "3.11",
            "packages": {"numpy": "2"},
            "ros": "jazzy",
            "load_before": 0.1,
            "load_after": 1.1,
        },
        "model": {"name": "nano", "sha256": "0"},
        "missing": "needs a package",
        "tile_ms": {"nano": spread([0.4, 0.5])},
        "network_ms": {},
        "tile_ms_one_a_call": {"nano": spread([0.6])},
        "tile_ms_two_threads": {"nano": spread([0.3])},
        "frame_ms": {"nano": spread([17.0])},
        "contenders": {"nano": {"tile_px": 256}},
        "tiles_a_call": 4,
        "frame": {"size": "1080p", "tiles": 40},
        "fixed_rates": {"1080p": {"30": run}},
        "sustained": {
            "1080p": {"hz": 41.2, "drops": 0.01, "age_ms": run["age_ms"], "run": run},
            "2160p": {"hz": None, "drops": None, "age_ms": None, "run": None},
        },
    }


def test_targets_are_judged_by_the_figures_that_there_are() -> None:
    verdicts = {target.what: target.met for target in targets_of(document())}
    assert verdicts["1080p at 30 Hz: share of the images missed"] is True
    assert verdicts["1080p at 30 Hz: 95th percentile of the frames' age, in frame periods"] is True
    assert verdicts["2160p: Hz sustained with less than 5 % missed"] is None
    slow = document() | {"ratios": {"node_over_inference": 1.3}, "idle": {"inactive_cpu_percent": 0.5}}
    verdicts = {target.what: target.met for target in targets_of(slow)}
    assert verdicts["node against bare inference, clean frames"] is False
    assert verdicts["inactive node: percent of a core"] is True


def test_the_page_holds_the_figures_as_tables() -> None:
    page = benchmark_markdown(document())
    assert "| `nano` | 256 px | 0.45 (0.4 - 0.5) |" in page
    assert "needs a package" in page
    assert "| 1080p | 41.2 | 1.0 % |" in page
    assert "| 2160p | none |" in page
    for table in [block for block in page.split("\n\n") if block.startswith("|")]:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_page_of_a_document_without_figures_is_no_error() -> None:
    bare = empty_document() | {key: document()[key] for key in ("machine", "model")}
    assert "## Targets on two cores" in benchmark_markdown(bare)


def test_the_command_makes_the_page_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps(document()))
    assert main(["benchmark", "--markdown", str(file)]) == 0
    assert capsys.readouterr().out == benchmark_markdown(document())


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"format": "crack_perception/benchmark"}'])
def test_another_file_is_refused_in_words(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    assert main(["benchmark", "--markdown", str(file)]) == 1
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--out", "x", "--parts", "wings"],
        ["--out", "x", "--parts", ""],
        ["--out", "x", "--soak-s", "-1"],
        ["--out", "x", "--seed", "-1"],
    ],
)
def test_wrong_usage_measures_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_the_training_tools_the_reason_stands_in_for_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    assert "torch" in missing_paper_models() and "crack_perception[train]" in missing_paper_models()
    assert paper_models(print) == []


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(UsageError, match="wings"):
        BenchmarkOptions(parts=("tiles", "wings"))
