# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of student architectures: cost, luminance input, export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.distillation.students import (  # noqa: E402
    SMALL_TABLE,
    STUDENTS,
    StudentNetwork,
    cost,
    get_student,
)
from crack_perception.training.export.model_graph import channels_of, feature_model, multiply_accumulates, parameters  # noqa: E402
from crack_perception.vision.tiling import in_channels  # noqa: E402

torch.set_num_threads(1)

MOST_PARAMETERS = 75_000
MOST_MULTIPLY_ACCUMULATES = 12_000_000
"""Limits per 256 px tile that leave room for the heads in a model of 92,000 bytes."""
LARGER = {"swift_wide"}
"""Students in place of `standard`, not of `nano`."""


@pytest.mark.parametrize("name", STUDENTS)
def test_cost_every_student_matches_network_within_limits(name: str) -> None:
    network = StudentNetwork(get_student(name))
    counted = cost(get_student(name))
    if name not in LARGER:
        assert counted.parameters <= MOST_PARAMETERS
        assert counted.multiply_accumulates <= MOST_MULTIPLY_ACCUMULATES
    assert counted.parameters == parameters(network)
    trunk_and_heads = multiply_accumulates(network.trunk, None, 256) + network.head.weight.numel()
    assert counted.multiply_accumulates == trunk_and_heads


def test_scaled_width_half_matches_scaled_trunk() -> None:
    table = replace(SMALL_TABLE, luminance=False).scaled(0.5, 9, 96)
    scaled = MobileNetV3Trunk(SMALL_BLOCKS[:9], 0.5, 96)
    shapes = [p.shape for p in StudentNetwork(table).trunk.parameters()]
    assert shapes == [p.shape for p in scaled.parameters()]
    # 18.6 million, which is why custom tables exist.
    assert cost(table).multiply_accumulates > MOST_MULTIPLY_ACCUMULATES


def test_cost_half_side_quarters_operations() -> None:
    table = replace(SMALL_TABLE, luminance=False).scaled(0.5, 9, 96)
    small, large = cost(table, 128), cost(table, 256)
    assert small.parameters == large.parameters
    assert small.multiply_accumulates == pytest.approx(large.multiply_accumulates / 4, rel=0.01)


def test_pooled_grey_tiles_match_colour_tiles() -> None:
    torch.manual_seed(0)
    network = StudentNetwork(get_student("plain")).eval()
    tiles = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8))
    grey = (tiles.float() * torch.tensor([0.114, 0.587, 0.299])).sum(dim=-1)
    with torch.no_grad():
        torch.testing.assert_close(network.pooled(grey), network.pooled(tiles), rtol=1e-3, atol=1e-4)


def test_luminance_training_step_keeps_weights() -> None:
    network = StudentNetwork(get_student("plain"))
    luminance = network.trunk.features[0]
    before = {name: value.clone() for name, value in luminance.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 1.0)
    network.train()(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).sum().backward()
    optimizer.step()
    for name, value in luminance.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_get_student_unknown_name_lists_students() -> None:
    with pytest.raises(UserError, match="plain"):
        get_student("huge")


@pytest.mark.parametrize("name", ["plain", "swift"])
def test_feature_model_student_matches_network(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(1)
    network = StudentNetwork(get_student(name)).eval()
    tiles = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    graph = feature_model(network.trunk, 64, int8_weights=False).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    grey = in_channels(tiles, channels_of(network.trunk))
    (features,) = session.run(["pooled"], {"tiles": grey})
    with torch.no_grad():
        from_grey = network.pooled(torch.from_numpy(grey[..., 0])).numpy()
        from_colour = network.pooled(torch.from_numpy(tiles)).numpy()
    np.testing.assert_allclose(features, from_grey, atol=1e-5)
    # The difference is the rounding of the luminance to integers.
    np.testing.assert_allclose(features, from_colour, rtol=5e-2, atol=5e-3)
