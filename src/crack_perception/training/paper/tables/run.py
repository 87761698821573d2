# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pipeline of ``crack_perception tables``: from a manifest to tables in JSON, Markdown and charts."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crack_perception.interrupts import uninterrupted
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.training.evaluation.figures import number
from crack_perception.training.paper.classifier_ablation import classifier_ablation, paper_claims
from crack_perception.training.paper.tables import plots
from crack_perception.training.paper.tables.bench import Bench
from crack_perception.training.paper.tables.contenders import Contender, finished_model, frozen_backbone
from crack_perception.training.paper.tables.markdown import PLOTS, report_text
from crack_perception.training.paper.tables.published import BASE, PAPER_TABLES
from crack_perception.training.paper.tables.rows import (
    STANDARDISED,
    ZCA,
    backbone_row,
    enhancement_row,
    exact_step,
    feature_map_decisions,
    finished_row,
    ladder_rows,
    model_decisions,
    with_time_ratios,
)
from crack_perception.training.paper.tables.samples import draw_samples
from crack_perception.training.paper.tables.severity import (
    Embedding,
    SeverityTiles,
    embed,
    masked_cracks,
    render_cracks,
    severity_rows,
)
from crack_perception.training.paper.tables.timing import median_milliseconds, single_tile_call

_LOGGER = logging.getLogger(__name__)

FORMAT, FORMAT_VERSION = "crack_perception/tables", 1
JSON_NAME, MARKDOWN_NAME = "tables.json", "tables.md"
TIME_REFERENCE = "resnet50"
"""The paper's conventional model; times are relative to it."""
_TIMED_ROUNDS = 15
_WIDTHS_PER_SAMPLE = 10


@dataclass(frozen=True)
class TablesSettings:
    """Settings of the measurement.

    Args:
        data: Folder with ``manifest.csv``.
        backbones: Registered backbones to compare.
        models: Names or folders of finished models to compare.
        weights_directory: Folder with ImageNet weights; backbones without a file get random weights.
        cache: Folder for features, from which an interrupted run resumes.
        threads: Number of threads, except for timed calls.
        sample: Number of tiles per source, surface and class for fitting and for test.
        tables: Numbers of the tables, 1 to 4.
        seed: Seed of all random choices.
        base: Backbone (one of ``backbones``) of Tables 2 to 4.
    """

    data: Path
    backbones: tuple[str, ...]
    models: tuple[str, ...]
    weights_directory: Path | None
    cache: Path
    threads: int
    sample: int
    tables: tuple[int, ...]
    seed: int
    base: str = BASE


def measure(settings: TablesSettings, out: Path) -> dict[str, Any]:
    """Measure the tables and write ``tables.json``, ``tables.md`` and one chart per table.

    Args:
        settings: Settings of the measurement.
        out: Output folder; created if needed, existing files are replaced.

    Returns:
        Content of ``tables.json``: ``settings``, ``samples``, ``initialisations``, ``seconds`` and ``tables``, by
        number with ``title``, ``rows`` and ``paper`` (the paper's own rows); Table 3 also has ``claims`` (the paper's
        claims as measured) and ``ablations`` (of the classifier), Table 4 ``embeddings``.

    Raises:
        UserError: The data, weights or models cannot be used.
    """
    start = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(settings, out)
    measurements = {1: run.backbones, 2: run.enhancement, 3: run.lightweight, 4: run.severity}
    tables = {}
    for table in settings.tables:
        _LOGGER.info("measuring Table %d", table)
        paper = PAPER_TABLES[table]
        tables[str(table)] = {
            "title": paper.caption,
            **measurements[table](),
            "paper": [dict(zip(paper.head, row, strict=True)) for row in paper.rows],
        }
    report: dict[str, Any] = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "settings": run.described(),
        "samples": run.bench.samples.report(),
        "initialisations": {contender.name: contender.initialisation for contender in run.contenders},
        "seconds": round(time.monotonic() - start),
        "tables": tables,
    }
    report = json.loads(json.dumps(report), parse_constant=lambda _: None)
    with uninterrupted():
        (out / JSON_NAME).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (out / MARKDOWN_NAME).write_text(report_text(report), encoding="utf-8")
    return report


class _Run:
    """Contenders and detectors of one measurement, with one method per table."""

    def __init__(self, settings: TablesSettings, out: Path) -> None:
        cache, threads = settings.cache, settings.threads
        self.settings, self.out = settings, out
        loaded = [load_model(name) for name in settings.models]
        self.frozen = [frozen_backbone(name, settings.weights_directory, cache, threads) for name in settings.backbones]
        self.finished = [finished_model(model, cache, threads) for model in loaded]
        self.detectors = [FrameDetector(model, open_backend("auto", model, threads)) for model in loaded]
        named = dict(zip(settings.backbones, self.frozen, strict=True))
        self.base = named[settings.base]
        self.reference = named.get(TIME_REFERENCE, self.frozen[0])
        _LOGGER.info("sampling tiles")
        self.bench = Bench(draw_samples(settings.data, settings.sample, settings.seed), settings.seed)

    @property
    def contenders(self) -> list[Contender]:
        return [*self.frozen, *self.finished]

    def described(self) -> dict[str, Any]:
        """Return the settings for the report, without local folders."""
        chosen = ("backbones", "models", "threads", "sample", "seed")
        return {
            **{name: getattr(self.settings, name) for name in chosen},
            "models": [{"name": d.model.name, "sha256": d.model.sha256} for d in self.detectors],
            "time_reference": self.reference.name,
        }

    @cached_property
    def milliseconds(self) -> dict[str, float]:
        """Time of one tile on one thread by contender [ms]."""
        _LOGGER.info("measuring times")
        calls = {contender.name: single_tile_call(contender.graph()) for contender in self.contenders}
        return median_milliseconds(calls, _TIMED_ROUNDS)

    def backbones(self) -> dict[str, Any]:
        rows = []
        for contender in self.contenders:
            _LOGGER.info("evaluating %s", contender.name)
            milliseconds = number(self.milliseconds[contender.name])
            rows.append({**backbone_row(self.bench, contender), "milliseconds": milliseconds})
        rows = with_time_ratios(rows, self.milliseconds[self.reference.name])
        plots.plot_backbones(rows, self.out / PLOTS[1])
        return {"rows": rows}

    def enhancement(self) -> dict[str, Any]:
        decisions = list(feature_map_decisions(self.bench, self.base, None))
        for contender, detector in zip(self.finished, self.detectors, strict=True):
            _LOGGER.info("evaluating %s under interference", contender.name)
            decisions += [
                *feature_map_decisions(self.bench, contender, (STANDARDISED, ZCA)),
                model_decisions(self.bench, detector),
            ]
        rows = [enhancement_row(self.bench, row, decisions[0]) for row in decisions]
        plots.plot_enhancement(rows, self.out / PLOTS[2])
        return {"rows": rows}

    def lightweight(self) -> dict[str, Any]:
        ablations = {}
        for contender in (self.base, *self.finished):
            _LOGGER.info("comparing classifiers behind %s", contender.name)
            train, test = self.bench.train_rows(contender), self.bench.test_rows(contender)
            ablations[contender.name] = classifier_ablation(train, test, self.settings.seed)
        rows = []
        for contender in sorted(self.frozen, key=lambda c: (c is not self.reference, c is self.base)):
            known = ablations.get(contender.name)
            steps = known["compression"] if known else [exact_step(self.bench, contender)]
            rows += ladder_rows(contender, steps, self.milliseconds[contender.name])
        for contender, detector in zip(self.finished, self.detectors, strict=True):
            rows.append(finished_row(self.bench, contender, detector, self.milliseconds[contender.name]))
        rows = with_time_ratios(rows, rows[0]["milliseconds"])
        plots.plot_sizes(rows, ablations, self.out / PLOTS[3])
        claims = {key: number(value) for key, value in paper_claims(ablations[self.base.name]["compression"]).items()}
        return {"rows": rows, "claims": claims, "ablations": ablations}

    def severity(self) -> dict[str, Any]:
        samples, seed = self.bench.samples, self.settings.seed
        count = _WIDTHS_PER_SAMPLE * self.settings.sample
        tiles = SeverityTiles(
            render_cracks(samples.fitting, count, seed),
            render_cracks(samples.test, count // 2, seed + 1),
            masked_cracks(self.settings.data),
        )
        rows: list[dict[str, Any]] = []
        embeddings: list[Embedding] = []
        for contender in (self.base, *self.finished):
            _LOGGER.info("evaluating severity with %s", contender.name)
            rows += severity_rows(tiles, contender, seed)
            embeddings += embed(tiles, contender, seed)
        plots.plot_embeddings(embeddings, self.out / PLOTS[4])
        return {
            "rows": rows,
            "embeddings": [
                {"name": e.name, "silhouette": number(e.silhouette), "neighbours_agree": number(e.neighbours_agree)}
                for e in embeddings
            ],
        }
