"""The exported graph computes what the network and the head compute."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.export import (  # noqa: E402
    OUTPUTS,
    feature_model,
    multiply_accumulates,
    tile_model,
)
from crack_perception.training.head import TileHead  # noqa: E402
from crack_perception.training.network import CrackNetwork  # noqa: E402

TILE_PX = 64


@pytest.fixture(scope="module")
def network() -> CrackNetwork:
    """A narrow random network whose batch statistics are not trivial."""
    torch.manual_seed(3)
    network = CrackNetwork(MobileNetV3Trunk(SMALL_BLOCKS[:6], 0.5, 32), 0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
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
def tiles() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (5, TILE_PX, TILE_PX, 3)).astype(np.uint8)


def run(model: object, tiles: np.ndarray) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"tiles": tiles}), strict=True))


def test_features_equal_the_network(network: CrackNetwork, tiles: np.ndarray) -> None:
    exported = run(feature_model(network.trunk, TILE_PX, int8_weights=False), tiles)["pooled"]
    with torch.no_grad():
        expected = network.pooled(torch.from_numpy(tiles)).numpy()
    assert expected.std() > 0.05
    np.testing.assert_allclose(exported, expected, atol=1e-3)


def test_int8_features_stay_close(network: CrackNetwork, tiles: np.ndarray) -> None:
    exact = run(feature_model(network.trunk, TILE_PX, int8_weights=False), tiles)["pooled"]
    rounded = run(feature_model(network.trunk, TILE_PX, int8_weights=True), tiles)["pooled"]
    assert not np.array_equal(rounded, exact)
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("int8_weights", [False, True])
def test_outputs_equal_the_head(network: CrackNetwork, head: TileHead, tiles: np.ndarray, int8_weights: bool) -> None:
    features = run(feature_model(network.trunk, TILE_PX, int8_weights), tiles)["pooled"]
    expected = (head.with_int8_weights() if int8_weights else head).outputs(features)
    outputs = run(tile_model(network.trunk, head, TILE_PX, int8_weights), tiles)
    assert set(outputs) == set(OUTPUTS)
    for name in OUTPUTS:
        assert outputs[name].shape == (len(tiles),)
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-3, err_msg=name)


def test_one_graph_takes_any_batch(network: CrackNetwork, head: TileHead, tiles: np.ndarray) -> None:
    model = tile_model(network.trunk, head, TILE_PX, int8_weights=True)
    whole, single = run(model, tiles)["crack_score"], run(model, tiles[2:3])["crack_score"]
    np.testing.assert_allclose(single, whole[2:3], atol=1e-5)


def test_full_trunk_has_the_published_size() -> None:
    trunk = MobileNetV3Trunk()
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 927_008
    assert multiply_accumulates(trunk, None, 224) == pytest.approx(54.9e6, rel=0.01)
