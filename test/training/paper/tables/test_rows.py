# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the rows of the tables: metrics, sizes, times and formatting."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnx")

import onnxruntime

from crack_perception.training.backbones.frozen_features import BackboneFeatures
from crack_perception.training.backbones.registry import load_backbone
from crack_perception.training.data.interference import INTERFERENCES
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles
from crack_perception.training.evaluation.stratum_figures import LabelledRows
from crack_perception.training.paper.tables.bench import CLEAN, Bench, source_figures
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.tables.markdown import macs_text, size_text
from crack_perception.training.paper.tables.published import PAPER_TABLES, SIZE_AND_F1
from crack_perception.training.paper.tables.rows import (
    ALL,
    PAPER,
    TileDecisions,
    enhancement_row,
    ladder_rows,
    with_time_ratios,
)
from crack_perception.training.paper.tables.samples import Samples
from crack_perception.training.paper.tables.timing import backbone_graph, median_milliseconds, single_tile_call

PAPER_TEXT = Path(__file__).resolve().parents[5] / "shared" / "design" / "paper.txt"


def tiles(labels: list[int], strata: list[str]) -> LabelledTiles:
    pixels = [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(len(labels))]
    groups = np.array([f"photo:{i // 2}" for i in range(len(labels))])
    return LabelledTiles(pixels, np.array(labels, np.int64), groups, np.array(strata))


TEST = tiles([1, 0, 1, 0, 1, 0, 0, 0], ["a/wall"] * 4 + ["b/wall"] * 2 + ["c/wall"] * 2)
BENCH = Bench(Samples(TEST, TEST, TEST), seed=0)


def contender(parameters: int = 1000) -> Contender:
    return Contender(
        "net", "random", parameters, 5_000_000, None, False, lambda *_: np.zeros((1, 1), np.float32), bytes
    )


def test_source_figures_use_only_tiles_of_source() -> None:
    decisions = np.array([0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.7, 0.1])
    figures = source_figures(TEST, decisions, 0.5)
    assert figures["a/wall"]["f1"] == 0.5
    assert figures["a/wall"]["false_alarms"] == figures["a/wall"]["misses"] == 0.5
    assert figures["a/wall"]["auc"] == 0.75
    assert (figures["b/wall"]["f1"], figures["b/wall"]["f1_interval"]) == (1.0, [1.0, 1.0])
    assert figures["c/wall"]["f1"] is None
    assert (figures["c/wall"]["false_alarms"], figures["c/wall"]["cracked"]) == (0.5, 0)


def same_decisions(name: str, decisions: np.ndarray) -> TileDecisions:
    return TileDecisions(name, dict.fromkeys((CLEAN, *INTERFERENCES), decisions), 0.5)


def test_enhancement_row_gain_is_relative_to_other_row() -> None:
    perfect = same_decisions("perfect", TEST.labels.astype(float))
    blind = same_decisions("blind", np.zeros(len(TEST.labels)))
    same = enhancement_row(BENCH, perfect, perfect)
    for condition in (CLEAN, PAPER, ALL):
        assert (same[condition]["gain"], same[condition]["gain_interval"]) == (0.0, [0.0, 0.0])
    better = enhancement_row(BENCH, perfect, blind)
    assert (better[PAPER]["f1"], better[PAPER]["gain"], better[PAPER]["gain_interval"]) == (1.0, 1.0, [1.0, 1.0])
    assert (better[ALL]["false_alarms"], better[ALL]["misses"]) == (0.0, 0.0)


def test_enhancement_row_one_disturbed_kind_lowers_pooled_metrics() -> None:
    right = TEST.labels.astype(float)
    decisions = dict.fromkeys((CLEAN, *INTERFERENCES), right) | {"shadow": 1.0 - right}
    row = enhancement_row(BENCH, TileDecisions("shaded", decisions, 0.5), same_decisions("perfect", right))
    assert row[CLEAN]["f1"] == row["stain"]["f1"] == 1.0
    assert row["shadow"]["f1"] == 0.0
    assert row[PAPER]["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert row[PAPER]["misses"] == pytest.approx(1 / 3, abs=1e-4)
    assert row[ALL]["false_alarms"] == pytest.approx(1 / 8, abs=1e-4)


def step(name: str, size: int, microseconds: float) -> dict[str, object]:
    figures = {"f1": 0.9, "f1_loss": 0.1, "auc": 0.95, "agreement": 1.0}
    intervals = {"f1_interval": (0.8, 1.0), "f1_loss_interval": (0.0, 0.2)}
    return {"name": name, "bytes": size, "microseconds_per_tile": microseconds, **figures, **intervals}


def test_ladder_rows_sizes_and_times_are_sums() -> None:
    rows = ladder_rows(contender(), [step("exact", 600, 500.0), step("small", 60, 50.0)], trunk_milliseconds=2.0)
    assert [row["bytes_total"] for row in rows] == [4600, 4060]
    assert [row["milliseconds"] for row in rows] == [2.5, 2.05]
    assert [row["classifier_time_ratio"] for row in rows] == [1.0, 0.1]
    assert [row["time_ratio"] for row in with_time_ratios(rows, 2.5)] == [1.0, 0.82]


def test_median_milliseconds_calls_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now_s[0])
    monkeypatch.setattr("crack_perception.training.paper.tables.timing.time", clock)
    order: list[str] = []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        now_s[0] += seconds

    taken = median_milliseconds({"slow": lambda: call("slow", 0.004), "quick": lambda: call("quick", 0.001)}, 3)
    assert taken == pytest.approx({"slow": 4.0, "quick": 1.0})
    assert [name for i, name in enumerate(order) if i == 0 or name != order[i - 1]] == ["slow", "quick"] * 4


def test_backbone_graph_matches_backbone_features(tmp_path: Path) -> None:
    name = "mobilenet_v3_small_w050_b3"
    graph = backbone_graph(load_backbone(name, None, 0))
    tile = np.random.default_rng(1).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    expected = BackboneFeatures(name, None, tmp_path, 1).features("one", 1, lambda _: tile)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (computed,) = session.run(None, {"tiles": tile[None]})
    np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-3)
    (single,) = single_tile_call(graph)()
    assert single.shape == expected.shape


def test_labelled_rows_f1_weights_strata_equally() -> None:
    rows = LabelledRows(TEST.labels, TEST.groups, TEST.strata)
    assert rows.f1(np.array([1, 0, 0, 1, 1, 0, 0, 0], bool)) == pytest.approx((0.5 + 1.0) / 2)


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (92_000, "92.0 kB"), (999, "1.0 kB"), (14_714_688 * 4, "58.9 MB")]
)
def test_size_text_uses_decimal_units(count: int | None, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(("count", "text"), [(11_900_000, "11.9 M"), (15_346_630_656, "15.35 G")])
def test_macs_text_states_unit(count: int, text: str) -> None:
    assert macs_text(count) == text


@pytest.mark.skipif(not PAPER_TEXT.is_file(), reason="the paper lies outside the repository")
def test_published_tables_match_text_of_paper() -> None:
    text = PAPER_TEXT.read_text(encoding="utf-8")
    for table_number, table in PAPER_TABLES.items():
        start = text.index(f"\nTable {table_number}. ")
        printed = re.sub(r"(\d\d)%", r"0.\1", text[start : start + 900])
        for row in table.rows:
            for value in row[1:]:
                figures = re.findall(r"[\d.]+", f"{value:.2f}" if isinstance(value, float) else str(value))
                assert all(figure in printed for figure in figures), (table_number, row)
    assert [f1 for _, f1, _ in SIZE_AND_F1] == [row[1] for row in PAPER_TABLES[3].rows]
