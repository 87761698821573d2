# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the ONNX Runtime backend: invalid graphs and its description; test_contract.py tests the interface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from backend_models import changed, crack_score_of, tiles_with
from tiny_model import write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES, InferenceFailed, TileScores, tile_scores
from crack_perception.recognition.models import LoadedModel, load_model

SIZES = dict.fromkeys(OUTPUT_NAMES, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_onnxruntime_thread_count_same_scores(model: LoadedModel, threads: int) -> None:
    scores = OnnxRuntimeBackend(model, threads).run(tiles_with(50, 70))
    assert scores.crack_score == pytest.approx(crack_score_of(np.array([50, 70])), abs=1e-5)


def test_onnxruntime_description_names_provider(model: LoadedModel) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    description = OnnxRuntimeBackend(model).description
    assert onnxruntime.__version__ in description
    assert "CPUExecutionProvider" in description or "CUDAExecutionProvider" in description


@pytest.mark.parametrize("graph", [b"", b"not an ONNX file", b"\x08\x08" + b"\xff" * 100])
def test_onnxruntime_other_content_refused(model: LoadedModel, graph: bytes) -> None:
    with pytest.raises(UserError, match="cannot load") as caught:
        OnnxRuntimeBackend(replace(model, graph=graph))
    assert str(model.directory) in caught.value.problem
    assert caught.value.remedy


def test_onnxruntime_missing_outputs_named(model: LoadedModel) -> None:
    def forget(graph: onnx.GraphProto) -> None:
        for output in [output for output in graph.output if output.name.startswith("log_width")]:
            graph.output.remove(output)

    with pytest.raises(UserError, match="has no log_width_px, log_width_sigma"):
        OnnxRuntimeBackend(changed(model, forget))


def test_onnxruntime_other_input_name_refused_on_open(model: LoadedModel) -> None:
    def rename(graph: onnx.GraphProto) -> None:
        graph.input[0].name = graph.node[0].input[0] = "images"

    with pytest.raises(UserError, match="has no tiles"):
        OnnxRuntimeBackend(changed(model, rename))


def test_onnxruntime_wrong_output_length_fails(model: LoadedModel) -> None:
    def keep_pixels(graph: onnx.GraphProto) -> None:
        """Change the graph so that it returns the minimum of every row instead of the tile."""
        (reduction,) = [node for node in graph.node if node.op_type == "ReduceMin"]
        (axes,) = [attribute for attribute in reduction.attribute if attribute.name == "axes"]
        axes.ints[:] = [2, 3]
        for output in graph.output:
            output.type.tensor_type.shape.dim.add().dim_param = "rows"

    with pytest.raises(InferenceFailed):
        OnnxRuntimeBackend(changed(model, keep_pixels)).run(tiles_with(0, 0))


def test_onnxruntime_output_with_extra_dimension_flattened(model: LoadedModel) -> None:
    def keep_dimension(graph: onnx.GraphProto) -> None:
        (reduction,) = [node for node in graph.node if node.op_type == "ReduceMin"]
        (kept,) = [attribute for attribute in reduction.attribute if attribute.name == "keepdims"]
        kept.i = 1
        for output in graph.output:
            for _ in range(3):
                output.type.tensor_type.shape.dim.add().dim_value = 1

    scores: TileScores = OnnxRuntimeBackend(changed(model, keep_dimension)).run(tiles_with(0, 200))
    assert scores.crack_score == pytest.approx(crack_score_of(np.array([0, 200])), abs=1e-5)


def test_onnxruntime_wrong_part_sizes_refused(model: LoadedModel) -> None:
    backend = OnnxRuntimeBackend(model, 1)
    session, sizes = backend._session, [1, -1]

    class Shifted:
        def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            outputs = session.run(names, feeds)
            if sizes.pop() < 0:
                return [output[:-1] for output in outputs]
            return [np.append(output, output[-1:]) for output in outputs]

    backend._session = Shifted()
    with pytest.raises(InferenceFailed, match="for a batch of 4 tiles"):
        backend.run(tiles_with(*[50] * 8))


@pytest.mark.parametrize(
    ("name", "value"),
    [("crack_score", 1.5), ("wide_score", -0.2), ("log_width_px", 50.0), ("log_width_sigma", -1.0)],
)
def test_tile_scores_implausible_value_is_refused_by_name(name: str, value: float) -> None:
    outputs = {output: np.full(3, 0.5, np.float32) for output in OUTPUT_NAMES}
    assert tile_scores(outputs, 3, SIZES).crack_score == pytest.approx(0.5)
    outputs[name][1] = value
    with pytest.raises(InferenceFailed, match=rf"{name} holds {value:g}"):
        tile_scores(outputs, 3, SIZES)


@pytest.mark.parametrize("outputs", [{}, dict.fromkeys(OUTPUT_NAMES, "x")])
def test_tile_scores_without_numbers_is_refused(outputs: dict[str, object]) -> None:
    with pytest.raises(InferenceFailed, match="missing or no numbers"):
        tile_scores(outputs, 1, SIZES)
