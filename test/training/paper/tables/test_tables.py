"""The paper's tables on data whose truth is known: figures, sizes, times, words."""

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
from crack_perception.training.evaluation.judged_rows import JudgedRows
from crack_perception.training.evaluation.judged_tiles import JudgedTiles
from crack_perception.training.paper.tables.bench import CLEAN, Bench, source_figures
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.tables.enhancement import ALL, PAPER, Judged, enhancement_row
from crack_perception.training.paper.tables.lightweight import ladder_rows, with_time_ratios
from crack_perception.training.paper.tables.markdown import macs_text, size_text
from crack_perception.training.paper.tables.paper import PAPER_TABLES, SIZE_AND_F1
from crack_perception.training.paper.tables.samples import Samples
from crack_perception.training.paper.tables.timing import backbone_graph, median_milliseconds, single_tile_call

PAPER_TEXT = Path(__file__).resolve().parents[5] / "shared" / "design" / "paper.txt"


def tiles(labels: list[int], strata: list[str]) -> JudgedTiles:
    pixels = [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(len(labels))]
    groups = np.array([f"photo:{i // 2}" for i in range(len(labels))])
    return JudgedTiles(pixels, np.array(labels, np.int64), groups, np.array(strata))


TEST = tiles([1, 0, 1, 0, 1, 0, 0, 0], ["a/wall"] * 4 + ["b/wall"] * 2 + ["c/wall"] * 2)
BENCH = Bench(Samples(TEST, TEST, TEST), seed=0)


def contender(parameters: int = 1000) -> Contender:
    return Contender(
        "net", "random", parameters, 5_000_000, None, False, lambda *_: np.zeros((1, 1), np.float32), bytes
    )


def test_figures_of_a_source_are_those_of_its_tiles_alone() -> None:
    decisions = np.array([0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.7, 0.1])
    figures = source_figures(TEST, decisions, 0.5)
    assert figures["a/wall"]["f1"] == 0.5
    assert figures["a/wall"]["false_alarms"] == figures["a/wall"]["misses"] == 0.5
    assert figures["a/wall"]["auc"] == 0.75
    assert (figures["b/wall"]["f1"], figures["b/wall"]["f1_interval"]) == (1.0, [1.0, 1.0])
    assert figures["c/wall"]["f1"] is None
    assert (figures["c/wall"]["false_alarms"], figures["c/wall"]["cracked"]) == (0.5, 0)


def judged(name: str, decisions: np.ndarray) -> Judged:
    return Judged(name, dict.fromkeys((CLEAN, *INTERFERENCES), decisions), 0.5)


def test_a_row_gains_nothing_over_itself_and_all_over_one_that_finds_nothing() -> None:
    perfect = judged("perfect", TEST.labels.astype(float))
    blind = judged("blind", np.zeros(len(TEST.labels)))
    same = enhancement_row(BENCH, perfect, perfect)
    for condition in (CLEAN, PAPER, ALL):
        assert (same[condition]["gain"], same[condition]["gain_interval"]) == (0.0, [0.0, 0.0])
    better = enhancement_row(BENCH, perfect, blind)
    assert (better[PAPER]["f1"], better[PAPER]["gain"], better[PAPER]["gain_interval"]) == (1.0, 1.0, [1.0, 1.0])
    assert (better[ALL]["false_alarms"], better[ALL]["misses"]) == (0.0, 0.0)


def test_only_the_disturbed_kinds_lower_the_pooled_figures() -> None:
    right = TEST.labels.astype(float)
    decisions = dict.fromkeys((CLEAN, *INTERFERENCES), right) | {"shadow": 1.0 - right}
    row = enhancement_row(BENCH, Judged("shaded", decisions, 0.5), judged("perfect", right))
    assert row[CLEAN]["f1"] == row["stain"]["f1"] == 1.0
    assert row["shadow"]["f1"] == 0.0
    assert row[PAPER]["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert row[PAPER]["misses"] == pytest.approx(1 / 3, abs=1e-4)
    assert row[ALL]["false_alarms"] == pytest.approx(1 / 8, abs=1e-4)


def step(name: str, size: int, microseconds: float) -> dict[str, object]:
    figures = {"f1": 0.9, "f1_loss": 0.1, "auc": 0.95, "agreement": 1.0}
    intervals = {"f1_interval": (0.8, 1.0), "f1_loss_interval": (0.0, 0.2)}
    return {"name": name, "bytes": size, "microseconds_per_tile": microseconds, **figures, **intervals}


def test_sizes_and_times_of_trunk_and_classifier_add_up() -> None:
    rows = ladder_rows(contender(), [step("exact", 600, 500.0), step("small", 60, 50.0)], trunk_milliseconds=2.0)
    assert [row["bytes_total"] for row in rows] == [4600, 4060]
    assert [row["milliseconds"] for row in rows] == [2.5, 2.05]
    assert [row["classifier_time_ratio"] for row in rows] == [1.0, 0.1]
    assert [row["time_ratio"] for row in with_time_ratios(rows, 2.5)] == [1.0, 0.82]


def test_calls_take_turns_and_the_slow_one_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_timed_graph_computes_the_backbones_features(tmp_path: Path) -> None:
    name = "mobilenet_v3_small_w050_b3"
    graph = backbone_graph(load_backbone(name, None, 0))
    tile = np.random.default_rng(1).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    expected = BackboneFeatures(name, None, tmp_path, 1).features("one", 1, lambda _: tile)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (computed,) = session.run(None, {"tiles": tile[None]})
    np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-3)
    (alone,) = single_tile_call(graph)()
    assert alone.shape == expected.shape


def test_means_count_every_stratum_once() -> None:
    rows = JudgedRows(TEST.labels, TEST.groups, TEST.strata)
    assert rows.f1(np.array([1, 0, 0, 1, 1, 0, 0, 0], bool)) == pytest.approx((0.5 + 1.0) / 2)


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (92_000, "92.0 kB"), (999, "1.0 kB"), (14_714_688 * 4, "58.9 MB")]
)
def test_sizes_are_decimal(count: int | None, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(("count", "text"), [(11_900_000, "11.9 M"), (15_346_630_656, "15.35 G")])
def test_operations_have_their_unit(count: int, text: str) -> None:
    assert macs_text(count) == text


@pytest.mark.skipif(not PAPER_TEXT.is_file(), reason="the paper lies outside the repository")
def test_the_papers_figures_are_the_papers() -> None:
    text = PAPER_TEXT.read_text(encoding="utf-8")
    for table_number, table in PAPER_TABLES.items():
        start = text.index(f"\nTable {table_number}. ")
        printed = re.sub(r"(\d\d)%", r"0.\1", text[start : start + 900])
        for row in table.rows:
            for value in row[1:]:
                figures = re.findall(r"[\d.]+", f"{value:.2f}" if isinstance(value, float) else str(value))
                assert all(figure in printed for figure in figures), (table_number, row)
    assert [f1 for _, f1, _ in SIZE_AND_F1] == [row[1] for row in PAPER_TABLES[3].rows]
