# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Run the benchmark: from options to one JSON document."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.contenders import BATCH, Reference
from crack_perception.evaluation.benchmark.document import NODE_OVER_INFERENCE, empty_document
from crack_perception.evaluation.benchmark.flight import FlightInMemory, benchmark_settings, fly
from crack_perception.evaluation.benchmark.instructions import MISSING, count_instructions
from crack_perception.evaluation.benchmark.interleaved import quantiles
from crack_perception.evaluation.benchmark.node_under_test import NodeUnderTest, node_under_test
from crack_perception.evaluation.benchmark.options import MAIN_SIZE, BenchmarkOptions
from crack_perception.evaluation.benchmark.overhead import NO_ALARM, node_overhead
from crack_perception.evaluation.benchmark.scenarios import fixed_rates, idle_load, overload, soak, sustained_rate
from crack_perception.evaluation.benchmark.stages import NodeParts, measure_stages, scene_of
from crack_perception.evaluation.benchmark.start import time_to_first_result
from crack_perception.evaluation.benchmark.targets import STANDARD
from crack_perception.evaluation.benchmark.throughput import THREADS, frame_tiles, node_throughput
from crack_perception.evaluation.benchmark.tile_times import (
    measure_frames,
    measure_tiles,
    ratios_of,
    tile_by_tile,
)
from crack_perception.evaluation.machine import machine_figures
from crack_perception.evaluation.replay.node_client import spinning_node
from crack_perception.evaluation.replay.ros_isolation import isolated_ros
from crack_perception.evaluation.replay.timing import rounded
from crack_perception.interrupts import uninterrupted
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.backends.tuning import tune
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model, shipped_models

Say = Callable[[str], None]


class Benchmark:
    """One benchmark run.

    Args:
        options: What is measured, and for how long.
        references: Returns the uncompressed models; may return none.
        missing: Reason for missing uncompressed models; empty when none are missing.
        parts: Stages of the node outside the core.
        say: Called with each line of progress.

    Raises:
        UserError: The model cannot be loaded.
    """

    def __init__(
        self,
        options: BenchmarkOptions,
        references: Callable[[], Sequence[Reference]],
        missing: str,
        parts: NodeParts,
        say: Say,
    ) -> None:
        self._options = options
        self._lengths = options.lengths
        self._references = references
        self._missing = missing
        self._parts = parts
        self._say = say
        self._model = load_model(options.model)
        self._document: dict[str, Any] = {}

    def run(self, keep: Callable[[dict[str, Any]], None]) -> None:
        """Measure the requested parts.

        Args:
            keep: Called with the document, in which parts that were not measured are None or empty; also if the run is
                ended by a signal or by a failure of the node, which the document then holds as ``incomplete``.

        Raises:
            UserError: The node fails.
        """
        began_s = time.monotonic()
        self._document = {
            **empty_document(),
            "machine": machine_figures(),
            "model": {"name": self._model.name, "sha256": self._model.sha256},
            "parts": list(self._options.parts),
            "missing": self._missing,
        }
        # The node uses one thread for OpenCV, which would use all cores by default.
        cv_threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            self._measure()
        except KeyboardInterrupt:
            with uninterrupted():
                keep(self._finished(began_s, "interrupted"))
            raise
        except UserError as error:
            keep(self._finished(began_s, str(error)))
            raise
        finally:
            cv2.setNumThreads(cv_threads)
        keep(self._finished(began_s))

    def _finished(self, began_s: float, incomplete: str = "") -> dict[str, Any]:
        self._document["incomplete"] = incomplete
        self._document["machine"]["load_after"] = machine_figures()["load_before"]
        self._document["seconds"] = time.monotonic() - began_s
        return dict(rounded(self._document, 5))

    def _measure(self) -> None:
        parts = self._options.parts
        with tempfile.TemporaryDirectory(prefix="crack_perception_benchmark_") as folder:
            log = Path(folder) / "node.log"
            if "tiles" in parts:
                self._measure_models()
            if "stages" in parts:
                self._measure_stages()
            if "start" in parts:
                self._measure_start(log)
            if "overhead" in parts:
                self._measure_overhead(log)
            if "throughput" in parts:
                self._measure_throughput(log)
            if {"idle", "rates", "overload"} & set(parts) or self._options.soak_s > 0:
                for size in self._lengths.sizes if "rates" in parts else (MAIN_SIZE,):
                    self._measure_node(size, log)
            if "instructions" in parts:
                self._measure_instructions(Path(folder))

    def _measure_instructions(self, folder: Path) -> None:
        self._say("counting instructions with valgrind, which takes minutes")
        models = [str(model.directory) for model in _models_with(self._model)]
        counts = count_instructions(models, MAIN_SIZE, self._options.seed, folder)
        self._document["instructions"] = {"size": MAIN_SIZE, "counts": counts, "missing": "" if counts else MISSING}

    def _measure_models(self) -> None:
        self._say("timing the models on tiles")
        models = _models_with(self._model)
        frame = scene_of(benchmark_settings(MAIN_SIZE, self._options.seed)).frame
        times = measure_tiles(models, self._references(), frame, self._lengths.tile_rounds, self._say)
        detectors = {model.name: FrameDetector(model, open_backend("onnxruntime", model, 1)) for model in models}
        tiles = detectors[self._model.name].detect(frame).grid.count
        ratios = ratios_of(times.batched)
        # At once: an interrupted run has all of these figures, or none.
        self._document |= {
            "tiles_a_call": BATCH,
            "contenders": times.about,
            **{
                key: {name: quantiles(taken) for name, taken in kind.items()}
                for key, kind in (
                    ("tile_ms", times.batched),
                    ("tile_ms_one_a_call", times.single),
                    ("tile_ms_two_threads", times.two_threads),
                    ("network_ms", times.networks),
                )
            },
            "ratios": self._document["ratios"]
            | {ratio: None if figures is None else figures["median"] for ratio, figures in ratios.items()},
            "ratio_spread": ratios,
            "frame": {"size": MAIN_SIZE, "tiles": tiles},
            "frame_ms": {
                **measure_frames(detectors, frame, self._lengths.frame_rounds),
                **tile_by_tile(times.batched, tiles),
            },
        }

    def _measure_stages(self) -> None:
        self._say("timing the stages of the pipeline")
        backend = open_backend("auto", self._model)
        clean = benchmark_settings(MAIN_SIZE, self._options.seed, cracks=0), NO_ALARM
        cracked = benchmark_settings(MAIN_SIZE, self._options.seed), None
        with isolated_ros() as domain, spinning_node("crack_benchmark_stages", domain) as node:
            for name, (settings, threshold) in (("clean", clean), ("cracked", cracked)):
                detector = FrameDetector(self._model, backend, threshold=threshold)
                self._document["stages_ms"][name] = measure_stages(
                    detector, scene_of(settings), self._parts, node, self._lengths.stage_rounds
                )

    def _measure_start(self, log: Path) -> None:
        self._say("starting the node while images arrive")
        flight = fly(benchmark_settings(MAIN_SIZE, self._options.seed))
        self._document["start"] = time_to_first_result(
            flight, self._parameters(), self._lengths.start_rounds, log, self._say
        )

    def _measure_overhead(self, log: Path) -> None:
        self._say("comparing the node with bare inference on clean frames")
        flight = fly(benchmark_settings(MAIN_SIZE, self._options.seed, cracks=0))
        parameters = {**self._parameters(), "threshold": f"{NO_ALARM}"}
        with node_under_test(flight, parameters, log) as node:
            _start_up(node)
            figures = node_overhead(
                node, flight, self._model, self._lengths.overhead_rounds, self._lengths.overhead_s, self._say
            )
        self._document[NODE_OVER_INFERENCE] = figures
        self._document["ratios"][NODE_OVER_INFERENCE] = figures["ratio"]

    def _measure_throughput(self, log: Path) -> None:
        """Measure the node's model, and ``standard`` too if that is another one."""
        seed = self._options.seed
        flights = {
            "clean": fly(benchmark_settings(MAIN_SIZE, seed, cracks=0)),
            "cracked": fly(benchmark_settings(MAIN_SIZE, seed)),
        }
        frame = scene_of(benchmark_settings(MAIN_SIZE, seed)).frame
        figures: dict[str, Any] = {"size": MAIN_SIZE, "threads": THREADS, "model": self._model.name, "models": {}}
        # The figures of each model are kept as soon as they are complete.
        self._document["throughput"] = figures
        standard = load_model(STANDARD)
        for model in (self._model, *([standard] if standard.sha256 != self._model.sha256 else [])):
            self._say(f"comparing the rate of the node with that of inference alone, model {model.name}")
            backend = open_backend("auto", model, THREADS)
            tune(backend, model)
            try:
                with node_under_test(flights["clean"], {"model": str(model.directory)}, log) as node:
                    _start_up(node)
                    figures["models"][model.name] = node_throughput(
                        node,
                        flights,
                        backend,
                        frame_tiles(frame, model.tile_px, model.channels),
                        self._lengths,
                        self._say,
                    )
            finally:
                backend.close()

    def _measure_node(self, size: str, log: Path) -> None:
        parts, lengths, document = self._options.parts, self._lengths, self._document
        self._say(f"running the node at {size}")
        flight = fly(benchmark_settings(size, self._options.seed))
        with node_under_test(flight, self._parameters(), log) as node:
            if size == MAIN_SIZE and "idle" in parts:
                self._say("  idle")
                document["idle"] = idle_load(node, lengths.idle_s)
            else:
                _start_up(node)
            if "rates" in parts or "overload" in parts:
                self._say("  highest rate")
                sustained = sustained_rate(node, flight, lengths, self._say)
                document["sustained"][size] = {**sustained, "input_sha256": flight.sha256}
            if "rates" in parts:
                self._say("  fixed rates")
                document["fixed_rates"][size] = fixed_rates(node, flight, lengths, self._say)
            if size == MAIN_SIZE:
                self._measure_long_runs(node, flight)
            document["backend"] = node.monitor.status.get("backend")

    def _measure_long_runs(self, node: NodeUnderTest, flight: FlightInMemory) -> None:
        parts, soak_s, document = self._options.parts, self._options.soak_s, self._document
        sustained_hz = document["sustained"].get(MAIN_SIZE, {}).get("hz")
        if "overload" in parts and sustained_hz:
            self._say("  overload")
            document["overload"] = overload(node, flight, sustained_hz, max(self._lengths.overload_s, soak_s))
        if soak_s > 0:
            self._say(f"  soak test of {soak_s:g} s")
            document["soak"] = soak(node, flight, soak_s)

    def _parameters(self) -> dict[str, str]:
        return {"model": str(self._model.directory)}


def _models_with(model: LoadedModel) -> list[LoadedModel]:
    """Return all shipped models, and this model if it is not one of them."""
    models = [load_model(name) for name in shipped_models()]
    return models if model.sha256 in [shipped.sha256 for shipped in models] else [*models, model]


def _start_up(node: NodeUnderTest) -> None:
    node.configure()
    node.activate()
