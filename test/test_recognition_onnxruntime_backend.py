"""The contract of recognition/backend.py, kept by every backend, and what ONNX Runtime refuses to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.errors import UserError
from crack_perception.recognition.backend import InferenceBackend, InferenceFailed, TileScores
from crack_perception.recognition.backends import BACKENDS, open_backend
from crack_perception.recognition.model_store import LoadedModel, load_model

GraphChange = Callable[[onnx.GraphProto], None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest, model: LoadedModel) -> InferenceBackend:
    return open_backend(request.param, model)


def tiles_with(*darkest: int) -> np.ndarray:
    """Grey tiles, each with one pixel of a given darkness somewhere."""
    rng = np.random.default_rng(len(darkest))
    tiles = np.full((len(darkest), TILE_PX, TILE_PX, 3), 200, np.uint8)
    for tile, value in zip(tiles, darkest, strict=True):
        tile[tuple(rng.integers(0, TILE_PX, 2))] = value
    return tiles


def crack_score_of(darkest: np.ndarray) -> np.ndarray:
    """What the tiny model computes."""
    return 1 / (1 + np.exp(-(64.0 - darkest) / 8.0))


def changed(model: LoadedModel, change: GraphChange) -> LoadedModel:
    """The model with another graph."""
    proto = onnx.load_from_string(model.graph)
    change(proto.graph)
    return replace(model, graph=proto.SerializeToString())


@pytest.mark.parametrize("count", [1, 2, 8, 13])
def test_scores_are_one_float_a_tile(backend: InferenceBackend, count: int) -> None:
    scores = backend.run(tiles_with(*range(count)))
    for values in astuple(scores):
        assert values.shape == (count,)
        assert values.dtype == np.float32


def test_scores_are_those_of_the_graph(backend: InferenceBackend) -> None:
    darkest = np.array([0, 40, 64, 80, 200])
    scores = backend.run(tiles_with(*darkest))
    assert scores.crack_score == pytest.approx(crack_score_of(darkest), abs=1e-5)
    assert scores.wide_score == pytest.approx(scores.crack_score)
    assert scores.log_width_px == pytest.approx(np.full(5, np.log(2)), abs=1e-6)
    assert scores.log_width_sigma == pytest.approx(np.full(5, 0.1), abs=1e-6)


def test_tile_scores_the_same_alone_and_in_company(backend: InferenceBackend) -> None:
    tiles = tiles_with(10, 70, 60, 90, 20, 63)
    together = backend.run(tiles).crack_score
    alone = [backend.run(tile[None]).crack_score[0] for tile in tiles]
    assert together == pytest.approx(alone, abs=1e-6)


def test_any_strides_are_welcome_and_nothing_is_written(backend: InferenceBackend) -> None:
    wide = np.concatenate([tiles_with(30, 90), tiles_with(5, 200)], axis=2)
    wide.flags.writeable = False
    left = wide[:, :, :TILE_PX]
    assert not left.flags.c_contiguous
    assert backend.run(left).crack_score == pytest.approx(crack_score_of(np.array([30, 90])), abs=1e-5)


def test_scores_outlive_the_next_batch(backend: InferenceBackend) -> None:
    first = backend.run(tiles_with(0, 0))
    backend.run(tiles_with(200, 200))
    assert first.crack_score == pytest.approx(crack_score_of(np.zeros(2)), abs=1e-5)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, TILE_PX, TILE_PX + 1, 3), np.uint8),
        np.zeros((1, TILE_PX, TILE_PX, 4), np.uint8),
        np.zeros((TILE_PX, TILE_PX, 3), np.uint8),
        np.zeros((1, TILE_PX, TILE_PX, 3), np.float32),
    ],
    ids=["size", "channels", "dimensions", "dtype"],
)
def test_wrong_batch_fails_and_the_backend_lives_on(backend: InferenceBackend, batch: np.ndarray) -> None:
    with pytest.raises(InferenceFailed, match="batch"):
        backend.run(batch)
    assert backend.run(tiles_with(0)).crack_score[0] > 0.9


@pytest.mark.parametrize("name", BACKENDS)
def test_closed_backend_runs_no_more(name: str, model: LoadedModel) -> None:
    backend = open_backend(name, model, threads=1)
    assert backend.run(tiles_with(0)).crack_score[0] > 0.9
    backend.close()
    with pytest.raises(InferenceFailed):
        backend.run(tiles_with(0))


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_number_of_threads_changes_no_score(model: LoadedModel, threads: int) -> None:
    scores = open_backend("onnxruntime", model, threads).run(tiles_with(50, 70))
    assert scores.crack_score == pytest.approx(crack_score_of(np.array([50, 70])), abs=1e-5)


def test_description_tells_what_computes(model: LoadedModel) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    description = open_backend("onnxruntime", model).description
    assert onnxruntime.__version__ in description
    assert "CPUExecutionProvider" in description or "CUDAExecutionProvider" in description


def test_unknown_backend_names_the_known_ones(model: LoadedModel) -> None:
    with pytest.raises(UserError, match=r"no backend 'abacus'.*auto, onnxruntime"):
        open_backend("abacus", model)


@pytest.mark.parametrize("graph", [b"", b"not an ONNX file", b"\x08\x08" + b"\xff" * 100])
def test_what_is_no_graph_is_refused(model: LoadedModel, graph: bytes) -> None:
    with pytest.raises(UserError, match="cannot load") as caught:
        open_backend("onnxruntime", replace(model, graph=graph))
    assert str(model.directory) in caught.value.problem
    assert caught.value.remedy


def test_missing_outputs_are_named(model: LoadedModel) -> None:
    def forget(graph: onnx.GraphProto) -> None:
        for output in [output for output in graph.output if output.name.startswith("log_width")]:
            graph.output.remove(output)

    with pytest.raises(UserError, match="has no log_width_px, log_width_sigma"):
        open_backend("onnxruntime", changed(model, forget))


def test_input_of_another_name_is_noticed_at_once(model: LoadedModel) -> None:
    def rename(graph: onnx.GraphProto) -> None:
        graph.input[0].name = graph.node[0].input[0] = "images"

    with pytest.raises(UserError, match="has no tiles"):
        open_backend("onnxruntime", changed(model, rename))


def test_output_of_another_length_is_a_failure(model: LoadedModel) -> None:
    def keep_pixels(graph: onnx.GraphProto) -> None:
        """Let the darkest value of every row stand for that of the tile."""
        (reduction,) = [node for node in graph.node if node.op_type == "ReduceMin"]
        (axes,) = [attribute for attribute in reduction.attribute if attribute.name == "axes"]
        axes.ints[:] = [2, 3]
        for output in graph.output:
            output.type.tensor_type.shape.dim.add().dim_param = "rows"

    with pytest.raises(InferenceFailed):
        open_backend("onnxruntime", changed(model, keep_pixels)).run(tiles_with(0, 0))


def test_output_with_a_dimension_of_one_is_flattened(model: LoadedModel) -> None:
    def keep_dimension(graph: onnx.GraphProto) -> None:
        (reduction,) = [node for node in graph.node if node.op_type == "ReduceMin"]
        (kept,) = [attribute for attribute in reduction.attribute if attribute.name == "keepdims"]
        kept.i = 1
        for output in graph.output:
            for _ in range(3):
                output.type.tensor_type.shape.dim.add().dim_value = 1

    scores: TileScores = open_backend("onnxruntime", changed(model, keep_dimension)).run(tiles_with(0, 200))
    assert scores.crack_score == pytest.approx(crack_score_of(np.array([0, 200])), abs=1e-5)


def test_model_without_a_folder_can_be_opened(model: LoadedModel) -> None:
    # The verified bytes count, whatever happens to the file afterwards.
    gone = replace(model, directory=Path("no") / "such" / "folder")
    assert open_backend("auto", gone).run(tiles_with(0)).crack_score[0] > 0.9


def test_values_that_are_no_numbers_are_a_failure(model: LoadedModel) -> None:
    def spoil(graph: onnx.GraphProto) -> None:
        (softness,) = [constant for constant in graph.initializer if constant.name == "softness"]
        softness.CopyFrom(numpy_helper.from_array(np.float32("nan"), "softness"))

    with pytest.raises(InferenceFailed, match="crack_score, wide_score holds values that are not finite"):
        open_backend("onnxruntime", changed(model, spoil)).run(tiles_with(0))
