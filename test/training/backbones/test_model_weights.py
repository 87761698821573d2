# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Networks that start from the weights of a trained model."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.recognition.models import load_model  # noqa: E402
from crack_perception.training.backbones.model_weights import mix_with_start, start_from  # noqa: E402
from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.backbones.registry import get_backbone  # noqa: E402
from crack_perception.training.distillation.model_teacher import ModelTeacher  # noqa: E402
from crack_perception.training.distillation.students import StudentNetwork, get_student  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize(("name", "table"), [("nano", "swift"), ("medium", "swift_wide")])
def test_start_from_gives_the_features_of_the_model(name: str, table: str) -> None:
    model, student = load_model(name), StudentNetwork(get_student(table), heads=3).eval()
    grey = np.random.default_rng(4).integers(40, 210, (3, 224, 224), dtype=np.uint8)
    expected = ModelTeacher(model, 1)(np.repeat(grey[..., None], 3, axis=3)).features
    head = student.head.weight.clone()
    start_from(student, model)
    with torch.no_grad():
        np.testing.assert_allclose(student.pooled(torch.from_numpy(grey)).numpy(), expected, atol=1e-4)
    torch.testing.assert_close(student.head.weight, head)


def test_mix_with_start_gives_the_weights_between() -> None:
    model, network = load_model("nano"), StudentNetwork(get_student("swift"))
    start_from(network, model)
    learned = [p for p in network.trunk.parameters() if p.requires_grad]
    first = [p.clone() for p in learned]
    with torch.no_grad():
        for p in learned:
            p.add_(0.25)
    head = network.head.weight.clone()
    mix_with_start(network, model, 0.4)
    for mixed, before in zip(learned, first, strict=True):
        torch.testing.assert_close(mixed - before, torch.full_like(before, 0.15))
    torch.testing.assert_close(network.head.weight, head)


def test_start_from_colour_model_gives_its_features() -> None:
    model = load_model("standard")
    network = CrackNetwork(get_backbone("mobilenet_v3_small").build(), heads=3).eval()
    tiles = np.random.default_rng(5).integers(40, 210, (2, 224, 224, 3), dtype=np.uint8)
    start_from(network, model)
    with torch.no_grad():
        features = network.pooled(torch.from_numpy(tiles)).numpy()
    np.testing.assert_allclose(features, ModelTeacher(model, 1)(tiles).features, atol=2e-3)


@pytest.mark.parametrize("table", ["swift", "w050_b8_slim"])
def test_start_from_another_architecture_refused(table: str) -> None:
    student = StudentNetwork(get_student(table))
    before = [p.clone() for p in student.parameters()]
    with pytest.raises(UserError, match="medium has another architecture"):
        start_from(student, load_model("medium"))
    for a, b in zip(before, student.parameters(), strict=True):
        torch.testing.assert_close(a, b)
