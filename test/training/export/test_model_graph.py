# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests that exported ONNX graphs match the network and the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from crack_perception.recognition.backends.protocol import OUTPUT_NAMES  # noqa: E402
from crack_perception.recognition.compact_graph import compress_graph  # noqa: E402
from crack_perception.training.backbones.efficientnet_lite import EfficientNetLiteTrunk, Stage  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, Block, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.backbones.network import POOLING_EPSILON, CrackNetwork  # noqa: E402
from crack_perception.training.distillation.students import StudentTable, StudentTrunk  # noqa: E402
from crack_perception.training.export.model_graph import (  # noqa: E402
    channels_of,
    feature_model,
    multiply_accumulates,
    parameters,
    tile_model,
)
from crack_perception.training.export.onnx_graph import with_float_weights  # noqa: E402
from crack_perception.training.heads.compression import LinearReadout  # noqa: E402
from crack_perception.training.heads.head import TileHead  # noqa: E402
from crack_perception.training.heads.structure import GATE_LOGIT, StructureReadout  # noqa: E402
from crack_perception.vision.tiling import in_channels  # noqa: E402

TILE_PX = 64
TENSORRT_OPERATORS = {
    *("Add", "Cast", "Clip", "Concat", "Conv", "Cos", "DequantizeLinear", "Exp", "Flatten", "Gather", "Gemm"),
    *("GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "Mul", "Relu"),
    *("Reshape", "Sigmoid", "Sqrt", "Sub", "Transpose"),
}
"""Allowed operators, all supported according to docs/operators.md of ONNX-TensorRT 10.1."""
TABLE = StudentTable(
    8, (Block(3, 16, 16, False, False, 2), Block(5, 24, 16, True, True, 1), Block(3, 16, 24, False, True, 1)), 24
)


TRUNKS = {
    "narrow": lambda: MobileNetV3Trunk(SMALL_BLOCKS[:6], 0.5, 32),
    "luminance": lambda: StudentTrunk(TABLE),
    "lite": lambda: EfficientNetLiteTrunk((Stage(1, 3, 1, 1, 16), Stage(2, 5, 2, 6, 24), Stage(2, 3, 2, 6, 32))),
}


@pytest.fixture(scope="module", params=sorted(TRUNKS))
def network(request: pytest.FixtureRequest) -> CrackNetwork:
    """A narrow random network with non-trivial batch statistics."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    network = CrackNetwork(TRUNKS[request.param](), 0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.num_features > 1:  # the luminance is frozen
            torch.nn.init.normal_(module.running_mean, 0.0, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.0, 0.2)
    return network.eval()


@pytest.fixture(scope="module")
def head(network: CrackNetwork) -> TileHead:
    rng = np.random.default_rng(5)
    inputs, components, fourier = 3 * network.trunk.out_channels, 8, 24
    shapes = [(inputs, components), (components,), (components, fourier), (fourier,), (fourier, 4), (4,)]
    return TileHead(*(rng.normal(0.0, 0.3, shape).astype(np.float32) for shape in shapes))


@pytest.fixture(scope="module")
def tiles(network: CrackNetwork) -> np.ndarray:
    """Random tiles in the channels of the network's graph."""
    return in_graph_channels(
        network, np.random.default_rng(4).integers(0, 256, (5, TILE_PX, TILE_PX, 3)).astype(np.uint8)
    )


def in_graph_channels(network: CrackNetwork, tiles: np.ndarray) -> np.ndarray:
    return in_channels(tiles, channels_of(network.trunk))


def pooled(network: CrackNetwork, tiles: np.ndarray) -> np.ndarray:
    """Pooled features of the torch network for the tiles of a graph (grey is repeated to three colours)."""
    with torch.no_grad():
        return np.asarray(network.pooled(torch.from_numpy(np.broadcast_to(tiles, (*tiles.shape[:3], 3)).copy())))


def run(model: object, tiles: np.ndarray) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"tiles": tiles}), strict=True))


def test_feature_model_float_weights_match_network(network: CrackNetwork, tiles: np.ndarray) -> None:
    exported = run(feature_model(network.trunk, TILE_PX, int8_weights=False), tiles)["pooled"]
    expected = pooled(network, tiles)
    assert expected.std() > 0.05
    np.testing.assert_allclose(exported, expected, atol=1e-5)


def test_feature_model_uniform_tile_has_exact_padding(network: CrackNetwork) -> None:
    """In a uniform tile far from the mean, only the padding at the border causes a variation of the features."""
    tiles = in_graph_channels(network, np.full((1, TILE_PX, TILE_PX, 3), (250, 10, 30), np.uint8))
    exported = run(feature_model(network.trunk, TILE_PX, int8_weights=False), tiles)["pooled"]
    expected = pooled(network, tiles)
    _, deviations, _ = np.split(expected[0], 3)
    assert deviations.max() > 2 * POOLING_EPSILON**0.5
    np.testing.assert_allclose(exported, expected, atol=1e-5)


def test_feature_model_int8_weights_stay_close(network: CrackNetwork, tiles: np.ndarray) -> None:
    exact = run(feature_model(network.trunk, TILE_PX, int8_weights=False), tiles)["pooled"]
    rounded = run(feature_model(network.trunk, TILE_PX, int8_weights=True), tiles)["pooled"]
    assert not np.array_equal(rounded, exact)
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("int8_weights", [False, True])
def test_tile_model_outputs_match_head(
    network: CrackNetwork, head: TileHead, tiles: np.ndarray, int8_weights: bool
) -> None:
    features = run(feature_model(network.trunk, TILE_PX, int8_weights), tiles)["pooled"]
    expected = (head.with_int8_weights() if int8_weights else head).outputs(features)
    outputs = run(tile_model(network.trunk, head, TILE_PX, int8_weights), tiles)
    assert set(outputs) == set(OUTPUT_NAMES)
    for name in OUTPUT_NAMES:
        assert outputs[name].shape == (len(tiles),)
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-3, err_msg=name)


def test_tile_model_gate_lowers_crack_logit_by_excess(network: CrackNetwork, head: TileHead, tiles: np.ndarray) -> None:
    weights = np.random.default_rng(8).normal(0.0, 0.4, head.projection.shape[0])
    centre = float((run(feature_model(network.trunk, TILE_PX, False), tiles)["pooled"] @ weights).mean())
    readout = StructureReadout(LinearReadout(weights, GATE_LOGIT - centre), 1.0, {}, 1.0)
    free = run(tile_model(network.trunk, head, TILE_PX, False, readout), tiles)
    gated = run(tile_model(network.trunk, head, TILE_PX, False, replace(readout, gates=True)), tiles)
    score = free["no_structure_score"]
    np.testing.assert_allclose(gated["no_structure_score"], score, atol=1e-5)
    excess = np.maximum(logit(score) - GATE_LOGIT, 0.0)
    assert 0 < np.count_nonzero(excess) < len(tiles), "the gate must be open for some tiles, and closed for others"
    np.testing.assert_allclose(logit(gated["crack_score"]), logit(free["crack_score"]) - excess, atol=1e-3)
    for name in ("wide_score", "log_width_px", "log_width_sigma"):
        np.testing.assert_allclose(gated[name], free[name], atol=1e-5)


def logit(score: np.ndarray) -> np.ndarray:
    return np.log(score.astype(np.float64) / (1 - score.astype(np.float64)))


def test_tile_model_any_batch_size_gives_same_scores(network: CrackNetwork, head: TileHead, tiles: np.ndarray) -> None:
    model = tile_model(network.trunk, head, TILE_PX, int8_weights=True)
    whole, single = run(model, tiles)["crack_score"], run(model, tiles[2:3])["crack_score"]
    np.testing.assert_allclose(single, whole[2:3], atol=1e-5)


@pytest.mark.parametrize("int8_weights", [False, True])
def test_tile_model_operators_are_supported_by_tensorrt(
    network: CrackNetwork, head: TileHead, int8_weights: bool
) -> None:
    model = tile_model(network.trunk, head, TILE_PX, int8_weights)
    assert {node.op_type for node in model.graph.node} <= TENSORRT_OPERATORS
    (of_tiles,) = (node.op_type for node in model.graph.node if "tiles" in node.input)
    assert of_tiles == "Cast", "TensorRT supports only a cast of uint8"


def test_tile_model_format_supports_oldest_runtime(network: CrackNetwork, head: TileHead) -> None:
    model = tile_model(network.trunk, head, TILE_PX, int8_weights=True)
    assert (model.ir_version, [entry.version for entry in model.opset_import]) == (8, [17])


def test_tile_model_same_weights_give_same_file(network: CrackNetwork, head: TileHead) -> None:
    first, second = (
        compress_graph(tile_model(network.trunk, head, TILE_PX, int8_weights=True).SerializeToString())
        for _ in range(2)
    )
    assert first == second


def test_compress_graph_int8_model_has_little_overhead() -> None:
    torch.manual_seed(3)
    trunk = MobileNetV3Trunk(SMALL_BLOCKS[:9], 0.5)
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.2, 4.0)
            torch.nn.init.normal_(module.bias, 0.0, 0.5)
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, 0.0, 0.1)
    graph = feature_model(trunk.eval(), TILE_PX, int8_weights=True)
    numbers = sum(int(np.prod(tensor.dims)) for tensor in graph.graph.initializer)
    assert numbers > 90_000
    assert len(compress_graph(graph.SerializeToString())) < 1.05 * numbers


def test_with_float_weights_int8_model_gives_same_outputs(
    network: CrackNetwork, head: TileHead, tiles: np.ndarray
) -> None:
    stored = tile_model(network.trunk, head, TILE_PX, int8_weights=True)
    before = stored.SerializeToString()
    plain = with_float_weights(stored)
    assert stored.SerializeToString() == before
    onnx.checker.check_model(plain, full_check=True)
    assert "DequantizeLinear" not in {node.op_type for node in plain.graph.node}
    assert onnx.TensorProto.INT8 not in {tensor.data_type for tensor in plain.graph.initializer}
    expected = run(stored, tiles)
    for name, values in run(plain, tiles).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)


def test_with_float_weights_float_model_is_unchanged(network: CrackNetwork, head: TileHead) -> None:
    model = tile_model(network.trunk, head, TILE_PX, int8_weights=False)
    assert with_float_weights(model) == model


def test_feature_model_luminance_is_not_in_graph() -> None:
    trunk = StudentTrunk(TABLE).eval()
    graph = feature_model(trunk, TILE_PX, int8_weights=False).graph
    shape = [side.dim_value or side.dim_param for side in graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["N", TILE_PX, TILE_PX, 1]
    assert [node.op_type for node in graph.node[:5]] == ["Cast", "Reshape", "Sub", "Conv", "HardSwish"]
    luminance = trunk.features[0]
    assert parameters(trunk) == sum(p.numel() for p in trunk.parameters()) - sum(
        p.numel() for p in luminance.parameters()
    )
    coloured = StudentTrunk(replace(TABLE, luminance=False))
    saved = 2 * TABLE.stem * 9 * (TILE_PX // 2) ** 2
    assert multiply_accumulates(coloured, None, TILE_PX) - multiply_accumulates(trunk, None, TILE_PX) == saved


def test_parameters_full_trunk_match_publication() -> None:
    trunk = MobileNetV3Trunk()
    assert parameters(trunk) == sum(parameter.numel() for parameter in trunk.parameters()) == 927_008
    assert multiply_accumulates(trunk, None, 224) == pytest.approx(54.9e6, rel=0.01)
