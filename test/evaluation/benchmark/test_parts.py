# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benchmark parts without a node: interleaved timing, flight in memory, rate search, figures, Markdown page."""

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
from crack_perception.evaluation.benchmark.document import empty_document
from crack_perception.evaluation.benchmark.flight import FlightInMemory, back_and_forth
from crack_perception.evaluation.benchmark.interleaved import interleaved_times, quantiles, ratio_quantiles
from crack_perception.evaluation.benchmark.markdown import benchmark_markdown
from crack_perception.evaluation.benchmark.node_run import NodeRun
from crack_perception.evaluation.benchmark.options import BenchmarkOptions
from crack_perception.evaluation.benchmark.scenarios import MemorySamples, growth, highest_rate, sustains
from crack_perception.evaluation.benchmark.targets import targets_of
from crack_perception.evaluation.recordings.bag import BagMessage, BagTopic
from crack_perception.evaluation.recordings.messages import read_header, restamped
from crack_perception.evaluation.replay.input_topics import CAMERA_INFO, IMAGE, RANGE, InputTopics
from crack_perception.evaluation.replay.timing import SentImage

PERIOD_NS = 100_000_000


# Turns


def test_interleaved_times_calls_alternate_after_two_untimed_calls() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = interleaved_times(calls, rounds=3, turn_s=0.0)
    # Two to begin with; then in each round one to fill the caches and one that is timed.
    assert "".join(order) == "aabb" + "aabb" * 3
    assert {name: taken.shape for name, taken in times.items()} == {"a": (3,), "b": (3,)}


def test_interleaved_times_returns_milliseconds_per_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(
        "crack_perception.evaluation.benchmark.interleaved.time", SimpleNamespace(perf_counter=lambda: now_s[0])
    )

    def nap(seconds: float) -> None:
        now_s[0] += seconds

    times = interleaved_times({"nap": lambda: nap(0.004), "longer nap": lambda: nap(0.012)}, 3, 0.02)
    assert times["nap"] == pytest.approx([4.0] * 3) and times["longer nap"] == pytest.approx([12.0] * 3)


def test_quantiles_and_ratio_are_taken_over_rounds() -> None:
    assert quantiles([4.0, 1.0, 2.0, 3.0, 10.0]) == {"min": 1.0, "q1": 2.0, "median": 3.0, "q3": 4.0, "max": 10.0}
    # Each round has its own ratio: slowness that hits both cancels out.
    assert ratio_quantiles(np.array([2.0, 20.0, 3.0]), np.array([1.0, 10.0, 1.0]))["median"] == 2.0


# The flight


def flight(images: int) -> FlightInMemory:
    """Flight whose poses and ranges are midway between images."""
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
def test_restamped_changes_only_the_stamp(order: str) -> None:
    content = image(offset_ns=7, frame="cam")
    data = bytes(TYPES.serialize_cdr(content, IMAGE, little_endian=order == "little"))
    changed = restamped(data, START_NS + 5_000_000_123)
    assert read_header(changed) == (START_NS + 5_000_000_123, "cam")
    assert restamped(changed, START_NS + 7) == data


def test_restamped_truncated_message_raises() -> None:
    with pytest.raises(ValueError, match="11 bytes"):
        restamped(bytes(11), START_NS)


@given(st.integers(1, 7), st.integers(0, 100))
def test_back_and_forth_consecutive_steps_are_neighbours(count: int, index: int) -> None:
    here, there = back_and_forth(index, count), back_and_forth(index + 1, count)
    assert 0 <= here < count and 0 <= there < count
    assert abs(here - there) == (1 if count > 1 else 0)


def test_back_and_forth_visits_first_and_last_element() -> None:
    assert [back_and_forth(index, 3) for index in range(9)] == [0, 1, 2, 1, 0, 1, 2, 1, 0]


def test_stream_images_have_the_rate_and_messages_are_ordered() -> None:
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


def test_stream_poses_follow_the_images() -> None:
    four = flight(4)
    # At ten images a second the stream runs as fast as the flight; after the last image it flies back.
    origins_ns = [four.flown_ns(image) - START_NS for image in (-2.0, 0.0, 0.5, 3.0, 3.5, 6.0)]
    assert origins_ns == pytest.approx([0, 0, PERIOD_NS / 2, 3 * PERIOD_NS, 2.5 * PERIOD_NS, 0], abs=1000)


def test_flight_sha256_differs_for_different_inputs() -> None:
    assert flight(3).sha256 == flight(3).sha256
    assert len({flight(images).sha256 for images in (2, 3, 4)}) == 3


# The search


@given(st.floats(0.7, 300.0), st.floats(0.02, 0.5))
def test_highest_rate_is_within_resolution(limit_hz: float, resolution: float) -> None:
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


def test_highest_rate_none_holds_returns_none() -> None:
    assert highest_rate(lambda rate_hz: False, 10.0, 240.0, 0.1) is None


# Runs of the node


def a_run(ages_ms: list[float | None], asked_hz: float = 10.0, sent_hz: float = 10.0) -> NodeRun:
    """Return a run with these ages; None is an image without results."""
    sent = tuple(SentImage(index, index / sent_hz) for index in range(len(ages_ms)))
    arrived = {index: index / sent_hz + age / 1000.0 for index, age in enumerate(ages_ms) if age is not None}
    return NodeRun(asked_hz, sent, arrived, len(arrived), [20.0, 30.0], 50.0, 200.0, 15.0, 0.001)


def test_node_run_figures_match_hand_calculation() -> None:
    figures = a_run([30.0, None, 50.0, 40.0]).figures()
    assert (figures["sent"], figures["missed"], figures["missed_share"]) == (4, 1, 0.25)
    assert (figures["first_latency_ms"], figures["last_latency_ms"]) == (pytest.approx(30.0), pytest.approx(40.0))
    assert figures["age_ms"]["median"] == pytest.approx(40.0)
    assert figures["jitter_ms"]["max"] == pytest.approx(20.0)
    assert figures["sent_hz"] == pytest.approx(10.0)
    assert figures["rate_hz"] == pytest.approx(2 / 0.31)
    assert figures["worst_lateness_ms"] == pytest.approx(1.0)


def test_node_run_without_results_has_figures() -> None:
    figures = a_run([None, None]).figures()
    assert figures["missed_share"] == 1.0
    assert figures["age_ms"] is None and figures["age_growth"] is None
    json.dumps(figures)


def test_node_run_growing_age_is_measured() -> None:
    steady = a_run([40.0, 60.0] * 15)
    assert steady.age_growth() == pytest.approx(0.0)
    growing = a_run([40.0 + 2.0 * index for index in range(30)])
    assert growing.age_slope_ms_per_s() == pytest.approx(20.0)
    assert growing.age_growth() == pytest.approx(89.0 / 49.0 - 1.0)


def test_sustains_requires_the_sent_rate() -> None:
    assert sustains(a_run([40.0] * 20))
    assert sustains(a_run([40.0] * 29 + [None]))
    assert not sustains(a_run([40.0] * 19 + [None]))
    assert not sustains(a_run([40.0] * 20, asked_hz=10.0, sent_hz=9.0))


def test_memory_samples_once_per_second() -> None:
    times_s = iter([0.0, 0.4, 0.9, 1.0, 1.9, 2.5])
    samples = MemorySamples(pid=os.getpid(), now_s=lambda: next(times_s))
    for _ in range(6):
        samples.sample()
    assert len(samples.rss_mb) == 3
    assert len(samples.private_mb) == 3
    assert all(rss > private > 10 for rss, private in zip(samples.rss_mb, samples.private_mb, strict=True))


def test_growth_compares_first_and_last_tenth() -> None:
    assert growth([100.0, *[100.0] * 18, 102.0]) == pytest.approx(0.01)
    assert growth([100.0]) is None


# The document and its page


def document() -> dict[str, Any]:
    """Return a document with some figures."""
    run = a_run([30.0] * 10, asked_hz=30.0).figures()
    return {
        **empty_document(),
        "machine": {
            "processor": "a processor",
            "instruction_set": "AVX2, no AVX-512",
            "usable_cores": 2,
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
        "tile_ms": {"nano": quantiles([0.4, 0.5])},
        "network_ms": {},
        "tile_ms_one_a_call": {"nano": quantiles([0.6])},
        "tile_ms_two_threads": {"nano": quantiles([0.3])},
        "frame_ms": {"nano": quantiles([17.0])},
        "contenders": {"nano": {"tile_px": 256}},
        "tiles_a_call": 4,
        "frame": {"size": "1080p", "tiles": 40},
        "fixed_rates": {"1080p": {"30": run}},
        "sustained": {
            "1080p": {"hz": 41.2, "drops": 0.01, "age_ms": run["age_ms"], "run": run},
            "2160p": {"hz": None, "drops": None, "age_ms": None, "run": None},
        },
    }


def test_targets_are_evaluated_on_available_figures() -> None:
    results = {target.description: target.met for target in targets_of(document())}
    assert results["1080p at 30 Hz: share of missed images"] is True
    assert results["1080p at 30 Hz: 95th percentile of the frame age, in frame periods"] is True
    assert results["2160p: sustained rate in Hz with less than 5 % missed"] is None
    slow = document() | {"ratios": {"node_over_inference": 1.3}, "idle": {"inactive_cpu_percent": 0.5}}
    results = {target.description: target.met for target in targets_of(slow)}
    assert results["node versus bare inference, clean frames"] is False
    assert results["inactive node: percent of a core"] is True


def throughput() -> dict[str, Any]:
    """Return the figures of the throughput of two models."""
    rates = {"nano": (30.0, 24.0, 22.0), "standard": (9.0, 8.5, None)}
    models = {
        name: {
            "inference_ms": quantiles([1000.0 / inference_hz]),
            "sustained": {"clean": {"hz": clean_hz}, "cracked": {"hz": cracked_hz}},
            "ratio": {
                kind: None if hz is None else hz / inference_hz
                for kind, hz in (("clean", clean_hz), ("cracked", cracked_hz))
            },
        }
        for name, (inference_hz, clean_hz, cracked_hz) in rates.items()
    }
    return {"size": "1080p", "threads": 2, "model": "nano", "models": models}


@pytest.mark.parametrize(("hz", "met"), [(None, None), (9.9, False), (10.0, True)])
def test_targets_of_the_throughput_are_evaluated_for_the_models_they_name(hz: float | None, met: bool | None) -> None:
    figures = throughput()
    figures["models"]["standard"]["sustained"]["cracked"]["hz"] = hz
    results = {target.description: target.met for target in targets_of(document() | {"throughput": figures})}
    ratio = "1080p: sustained rate of the node versus inference alone on two threads, {} walls"
    assert results[ratio.format("clean")] is True and results[ratio.format("cracked")] is False
    assert results["1080p: sustained rate of `standard` in Hz with less than 5 % missed, cracked walls"] is met


def test_targets_without_the_throughput_are_not_evaluated() -> None:
    assert "throughput" not in document()
    results = [target.met for target in targets_of(document()) if target.description.startswith("1080p: sustained")]
    assert results == [None] * 3


def test_markdown_shows_node_and_inference_alone_with_the_instruction_set() -> None:
    page = benchmark_markdown(document() | {"throughput": throughput()})
    assert "Measured on a processor with AVX2, no AVX-512." in page
    assert "| `nano` | clean | 24.0 | 30.0 | 0.8 |" in page
    assert "| `standard` | cracked | none | 9.0 | - |" in page
    assert "## Node and inference alone" not in benchmark_markdown(document())


@pytest.mark.parametrize(("median_s", "met"), [(1.5, True), (2.1, False)])
def test_start_has_a_target_and_a_line(median_s: float, met: bool) -> None:
    start = {"rate_hz": 10.0, "first_result_s": quantiles([median_s]), "cpu_s": quantiles([1.1])}
    started = document() | {"start": start}
    results = {target.description: target.met for target in targets_of(started)}
    assert results["start of the node to its first result in s"] is met
    assert f"* Start: first result {median_s:g} s" in benchmark_markdown(started)
    assert "* Start:" not in benchmark_markdown(document())


def test_markdown_contains_the_figures_as_tables() -> None:
    page = benchmark_markdown(document())
    assert "| `nano` | 256 px | 0.45 (0.4 - 0.5) |" in page
    assert "needs a package" in page
    assert "| 1080p | 41.2 | 1.0 % |" in page
    assert "| 2160p | none |" in page
    for table in [block for block in page.split("\n\n") if block.startswith("|")]:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_markdown_empty_document_renders() -> None:
    bare = empty_document() | {key: document()[key] for key in ("machine", "model")}
    assert "## Targets on two cores" in benchmark_markdown(bare)


def test_benchmark_command_renders_an_existing_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps(document()))
    assert main(["benchmark", "--markdown", str(file)]) == 0
    assert capsys.readouterr().out == benchmark_markdown(document())


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"format": "crack_perception/benchmark"}'])
def test_benchmark_command_wrong_file_reports_error(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
def test_benchmark_command_wrong_usage_measures_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_benchmark_without_training_tools_reports_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    assert "torch" in missing_paper_models() and "crack_perception[train]" in missing_paper_models()
    assert paper_models(print) == []


def test_benchmark_options_unknown_part_is_named() -> None:
    with pytest.raises(UsageError, match="wings"):
        BenchmarkOptions(parts=("tiles", "wings"))
