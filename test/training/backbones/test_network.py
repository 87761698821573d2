# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the context that rounds the weights of a network to int8."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from crack_perception.training.backbones.mobilenet_v3 import ConvNormActivation  # noqa: E402
from crack_perception.training.backbones.network import rounded_weights  # noqa: E402
from crack_perception.training.export.onnx_graph import quantise_per_channel  # noqa: E402

torch.set_num_threads(1)


GAINS = torch.tensor([0.25, 0.5, 1.0, -1.0, 2.0, -4.0])


def layer() -> ConvNormActivation:
    """Return a convolution with a batch normalisation that multiplies by powers of two."""
    torch.manual_seed(0)
    made = ConvNormActivation(4, len(GAINS), 3)
    with torch.no_grad():
        made[1].weight.copy_(GAINS * torch.sqrt(made[1].running_var + made[1].eps))
    return made.eval()


def test_rounded_weights_error_inside_restores_exact_weights() -> None:
    network = layer()
    before = network[0].weight.clone()
    with pytest.raises(KeyboardInterrupt), rounded_weights(network):
        assert not torch.equal(network[0].weight, before)
        raise KeyboardInterrupt
    assert torch.equal(network[0].weight, before)


def test_rounded_weights_folding_before_or_after_gives_same_values() -> None:
    network = layer()
    gains = GAINS[:, None, None, None]
    levels, scales = quantise_per_channel((network[0].weight * gains).detach().numpy(), 0)
    with rounded_weights(network):
        rounded_first = (network[0].weight * gains).detach().numpy()
    np.testing.assert_allclose(rounded_first, levels * scales[:, None, None, None], rtol=1e-6)


def test_rounded_weights_gradients_are_applied_to_exact_weights() -> None:
    network = torch.nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    before, inputs = network.weight.detach().clone(), torch.tensor([[1.0, 2.0, 3.0]])
    with rounded_weights(network):
        rounded = network.weight.detach().clone()
        network(inputs).square().sum().backward()
    optimizer.step()
    wanted = before - 2.0 * float(inputs[0] @ rounded[0]) * inputs
    torch.testing.assert_close(network.weight.detach(), wanted)
