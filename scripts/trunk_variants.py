# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time of cheaper variants of the trunk of `standard`, relative to it: what a training could save, before it is made.

.venv/bin/python scripts/trunk_variants.py

Weights do not change the time and are random. For int8 activations, which need no training, the trained model is
quantised, and the change of its scores is measured too. Requires the extra `train`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from crack_perception.evaluation.benchmark.flight import benchmark_settings
from crack_perception.evaluation.benchmark.interleaved import interleaved_times, ratio_quantiles
from crack_perception.evaluation.benchmark.stages import scene_of
from crack_perception.evaluation.machine import machine_figures, processor_text
from crack_perception.recognition.models import load_model
from crack_perception.training.distillation.students import SMALL_TABLE, STUDENTS, StudentTable, StudentTrunk, cost
from crack_perception.training.export.model_graph import feature_model
from crack_perception.training.export.onnx_graph import with_float_weights
from crack_perception.vision.tiling import cut_tiles, plan_tiles

TILE_PX = 256
TILES_A_CALL = 4
ROUNDS = 40
# Every fourth call of a frame calibrates the ranges of int8 activations.
CALIBRATION_STEP = 4

Tiles = npt.NDArray[np.uint8]


def without_attention(table: StudentTable) -> StudentTable:
    """Return the table without squeeze-and-excitation."""
    return replace(table, blocks=tuple(replace(block, squeeze_excitation=False) for block in table.blocks))


_SWIFT = STUDENTS["swift"]
_COLOUR = replace(SMALL_TABLE, luminance=False)
VARIANTS = {
    "`standard`": _COLOUR,
    "grey tiles": SMALL_TABLE,
    "no squeeze-and-excitation": without_attention(_COLOUR),
    "ReLU": _COLOUR.with_relu(),
    "all three": without_attention(SMALL_TABLE).with_relu(),
    "`nano`, twice as wide": _SWIFT.scaled(2.0, 9, 192),
    "`nano`, one and a half times as wide": _SWIFT.scaled(1.5, 9, 144),
    "`nano`": _SWIFT,
}


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, calls: list[Tiles]) -> None:
        self._batches = iter([{name: tiles} for tiles in calls])

    def get_next(self) -> dict[str, Tiles] | None:
        return next(self._batches, None)


def session(graph: bytes, is_quantised: bool = False) -> onnxruntime.InferenceSession:
    """Open a graph on one thread, as the backend of the package does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_quant_qdq", "0" if is_quantised else "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def quantised(graph: onnx.ModelProto, calls: list[Tiles], folder: Path) -> bytes:
    """Return a graph with int8 activations (unsigned, one range a tensor) and int8 weights (one scale a channel)."""
    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(graph, source)
    quantize_static(
        source,
        target,
        _Calibration(graph.graph.input[0].name, calls[::CALIBRATION_STEP]),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Mul", "HardSwish", "Relu", "Add", "GlobalAveragePool"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return target.read_bytes()


def run(opened: onnxruntime.InferenceSession, tiles: Tiles) -> npt.NDArray[np.float32]:
    """Return the first output for a call of tiles."""
    return np.asarray(opened.run(None, {opened.get_inputs()[0].name: tiles})[0])


def main() -> None:
    """Print the table of all variants."""
    torch.manual_seed(0)
    frames = [scene_of(benchmark_settings("1080p", seed)).frame for seed in (11, 12, 13, 14)]
    colour = np.concatenate([cut_tiles(frame, plan_tiles(1920, 1080, TILE_PX)) for frame in frames])
    calls = [colour[first : first + TILES_A_CALL] for first in range(0, len(colour), TILES_A_CALL)]
    calls_of: dict[str, Callable[[], object]] = {}
    about: dict[str, str] = {}
    for name, table in VARIANTS.items():
        opened = session(feature_model(StudentTrunk(table).eval(), TILE_PX, True).SerializeToString())
        calls_of[name] = partial(run, opened, calls[0][..., :1].copy() if table.luminance else calls[0])
        about[name] = f"{cost(table).multiply_accumulates / 1e6:.1f}"
    graph = onnx.load_from_string(load_model("standard").graph)
    with tempfile.TemporaryDirectory(prefix="crack_perception_variants_") as folder:
        exact, rounded = (
            session(graph.SerializeToString()),
            session(quantised(with_float_weights(graph), calls, Path(folder)), is_quantised=True),
        )
    whole, int8 = "`standard` with its head", "`standard` with its head, int8 activations"
    calls_of |= {whole: partial(run, exact, calls[0]), int8: partial(run, rounded, calls[0])}
    changes = np.concatenate([np.abs(run(exact, tiles) - run(rounded, tiles)).ravel() for tiles in calls])
    times = interleaved_times(calls_of, ROUNDS)
    machine = processor_text(machine_figures())
    print(f"On {machine}, ONNX Runtime {onnxruntime.__version__}, one thread, {TILES_A_CALL} tiles a call:\n")
    print("| trunk | million multiply-accumulates | time relative to `standard` | 25 - 75 % of the rounds |")
    print("|---|---|---|---|")
    for name, taken in times.items():
        ratio = ratio_quantiles(taken, times[whole if name == int8 else "`standard`"])
        print(f"| {name} | {about.get(name, '')} | {ratio['median']:.2f} | {ratio['q1']:.2f} - {ratio['q3']:.2f} |")
    print(f"\nint8 activations change the scores of {len(changes)} tiles by {changes.mean():.3f} on average.")


if __name__ == "__main__":
    main()
