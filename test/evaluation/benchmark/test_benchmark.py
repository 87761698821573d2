# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Short run of the whole benchmark: the real node over DDS with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crack_perception.cli.benchmark_parts import ShellParts
from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.document import read_document
from crack_perception.evaluation.benchmark.markdown import benchmark_markdown
from crack_perception.evaluation.benchmark.options import PARTS, BenchmarkOptions, Lengths
from crack_perception.evaluation.benchmark.runner import Benchmark
from crack_perception.paths import write_json
from crack_perception.recognition.models import shipped_models

pytestmark = pytest.mark.slow

SHORT = Lengths(
    tile_rounds=1,
    frame_rounds=1,
    stage_rounds=1,
    idle_s=0.5,
    probe_s=0.3,
    start_rounds=1,
    resolution=1.0,
    steady_s=0.5,
    overload_s=0.5,
    fixed_hz=(10.0,),
    sizes=("1080p",),
)


@pytest.fixture(scope="module")
def document(tiny_model: Path) -> dict[str, Any]:
    """Document of a machine without the training tools."""
    # The overhead has its own test in test_ratios.py, the throughput in test_throughput.py, the instructions in
    # test_instructions.py.
    parts = tuple(part for part in PARTS if part not in ("overhead", "throughput", "instructions"))
    options = BenchmarkOptions(model=str(tiny_model), parts=parts, lengths=SHORT, soak_s=1.5)
    documents: list[dict[str, Any]] = []
    Benchmark(options, list, "needs pip install 'crack_perception[train]'", ShellParts(), print).run(documents.append)
    assert len(documents) == 1
    return documents[0]


def test_benchmark_models_have_times_and_ratios(document: dict[str, Any]) -> None:
    assert set(document["tile_ms"]) == {*shipped_models(), "tiny"}
    for figures in document["tile_ms"].values():
        assert 0 < figures["min"] <= figures["median"] <= figures["max"]
    # How many times faster is measured where nothing else runs, in test_ratios.py.
    assert document["ratios"]["nano_vs_standard"] > 0
    assert document["frame"]["tiles"] == 30 * 17  # 1920 x 1080 px in tiles of 64 px


def test_benchmark_missing_models_report_the_reason(document: dict[str, Any]) -> None:
    assert document["ratios"]["nano_vs_resnet50_svm"] is None
    assert "needs pip install 'crack_perception[train]'" in benchmark_markdown(document)


def test_benchmark_stages_cover_clean_and_cracked_frames(document: dict[str, Any]) -> None:
    clean, cracked = document["stages_ms"]["clean"], document["stages_ms"]["cracked"]
    names = {"convert", "tile", "infer", "regions", "measure", "geometry", "publish", "draw", "encode"}
    assert set(clean) == set(cracked) == names | {"regions_found"}
    assert clean["regions_found"] == 0 < cracked["regions_found"]
    assert clean["measure"]["median"] < cracked["measure"]["median"]


def test_benchmark_start_is_timed_until_the_first_result(document: dict[str, Any]) -> None:
    start = document["start"]
    assert start["cpu_s"]["median"] > 0 and 0 < start["first_result_s"]["min"] <= start["first_result_s"]["max"]


def test_benchmark_skipped_part_has_no_figures(document: dict[str, Any]) -> None:
    assert "overhead" not in document["parts"]
    assert document["ratios"]["node_over_inference"] is document["node_over_inference"] is None


def test_benchmark_rates_contain_figures_of_their_runs(document: dict[str, Any]) -> None:
    sustained, fixed = document["sustained"]["1080p"], document["fixed_rates"]["1080p"]["10"]
    assert sustained["hz"] is None or 0 <= sustained["drops"] < 0.05
    assert len(sustained["input_sha256"]) == 64
    assert fixed["sent"] == 5
    assert fixed["sent"] - fixed["missed"] == fixed["located"] > 0
    assert 0 < fixed["first_latency_ms"] < 60_000
    assert fixed["rss_mb"] > 50 and fixed["cpu_percent"] > 0


def test_benchmark_idle_overload_and_soak_have_figures(document: dict[str, Any]) -> None:
    assert 0 <= document["idle"]["inactive_cpu_percent"] < 100
    assert document["soak"]["sent"] == 45
    assert len(document["soak"]["rss_mb_samples"]) >= 2
    if document["sustained"]["1080p"]["hz"] is not None:
        assert document["overload"]["asked_hz"] == pytest.approx(3 * document["sustained"]["1080p"]["hz"], rel=1e-3)


def test_document_write_and_read_round_trip(document: dict[str, Any], tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "benchmark.json", document)
    assert read_document(tmp_path / "new" / "benchmark.json") == json.loads(json.dumps(document))
    assert {"machine", "tile_ms", "ratios", "sustained", "stages_ms"} <= set(document)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("the node ended", "Look into its log")])
def test_benchmark_ended_early_keeps_the_measured_parts(tiny_model: Path, error: BaseException) -> None:
    def say(line: str) -> None:
        if line.startswith("timing the stages"):
            raise error

    options = BenchmarkOptions(model=str(tiny_model), parts=("tiles", "stages"), lengths=SHORT)
    documents: list[dict[str, Any]] = []
    with pytest.raises(type(error)):
        Benchmark(options, list, "", ShellParts(), say).run(documents.append)
    (document,) = documents
    reason = str(error) or "interrupted"
    assert document["incomplete"] == reason
    assert set(document["tile_ms"]) == {*shipped_models(), "tiny"}
    assert document["stages_ms"] == {}
    assert f"**Incomplete**: {reason}." in benchmark_markdown(document)
