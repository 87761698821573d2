"""The PyTorch module of a graph computes what ONNX Runtime makes of the same graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tiny_model import write_tiny_model  # noqa: E402

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend  # noqa: E402
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES  # noqa: E402
from crack_perception.recognition.models import load_model, shipped_models  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import Block  # noqa: E402
from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.distillation.students import StudentTable, StudentTrunk  # noqa: E402
from crack_perception.training.export.graph_module import GraphModule  # noqa: E402
from crack_perception.training.export.model_graph import channels_of, feature_model  # noqa: E402
from crack_perception.vision.tiling import in_channels  # noqa: E402

torch.set_num_threads(1)


def compute(graph: bytes, tiles: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {name: values.numpy() for name, values in GraphModule(graph).eval()(torch.from_numpy(tiles)).items()}


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_model_is_the_same(name: str) -> None:
    model = load_model(name)
    tiles = np.random.default_rng(6).integers(0, 256, (2, *model.tile_shape)).astype(np.uint8)
    tiles[1, :, 100:104] //= 4
    expected = OnnxRuntimeBackend(model, threads=1).run(tiles)
    results = compute(model.graph, tiles)
    assert set(results) == set(OUTPUT_NAMES)
    for output in OUTPUT_NAMES:
        np.testing.assert_allclose(results[output], getattr(expected, output), atol=1e-4, err_msg=output)


def test_student_with_luminance_is_the_network_it_was() -> None:
    """From the network to its graph and back; the stem has strides, the blocks all that a block may have."""
    torch.manual_seed(2)
    blocks = (Block(3, 16, 16, False, False, 2), Block(5, 24, 16, True, True, 1))
    network = CrackNetwork(StudentTrunk(StudentTable(8, blocks, 24)), 0.0).eval()
    tiles = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    graph = feature_model(network.trunk, 32, int8_weights=False).SerializeToString()
    grey = in_channels(tiles, channels_of(network.trunk))
    with torch.no_grad():
        expected = network.pooled(torch.from_numpy(np.repeat(grey, 3, axis=-1))).numpy()
    np.testing.assert_allclose(compute(graph, grey)["pooled"], expected, atol=1e-5)


def test_foreign_operator_is_named(tmp_path: Path) -> None:
    graph = (write_tiny_model(tmp_path / "tiny") / "model.onnx").read_bytes()
    with pytest.raises(UserError, match="needs the operator ReduceMin"):
        GraphModule(graph)
