"""One ONNX graph from uint8 tiles to scores: normalisation, trunk, pooling, compressed SVM and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto
from torch import nn

from crack_perception.training.backbones.mobilenet_v3 import (
    ConvNormActivation,
    InvertedResidual,
    MobileNetV3Trunk,
    SqueezeExcitation,
)
from crack_perception.training.head import LOG_SIGMA_RANGE, LOG_WIDTH_RANGE, TileHead
from crack_perception.training.network import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB, POOLING_EPSILON
from crack_perception.training.onnx_graph import GraphBuilder

OUTPUTS = ("crack_score", "wide_score", "log_width_px", "log_width_sigma")


def feature_model(trunk: MobileNetV3Trunk, tile_px: int, int8_weights: bool) -> ModelProto:
    """Graph from ``tiles`` to ``pooled`` ``(N, 3 C)``: what the heads are fitted on."""
    builder = GraphBuilder(int8_weights)
    pooled = _add_trunk(builder, trunk)
    builder.node("Identity", [pooled], "pooled")
    return builder.model("crack_features", tile_px, {"pooled": (3 * trunk.out_channels,)})


def tile_model(trunk: MobileNetV3Trunk, head: TileHead, tile_px: int, int8_weights: bool) -> ModelProto:
    """The whole model: graph from ``tiles`` to the four outputs of the model file."""
    builder = GraphBuilder(int8_weights)
    _add_head(builder, _add_trunk(builder, trunk), head)
    return builder.model("crack_perception", tile_px, dict.fromkeys(OUTPUTS, ()))


def _add_trunk(builder: GraphBuilder, trunk: MobileNetV3Trunk) -> str:
    """Normalisation, all blocks and the pooling; returns the name of the pooled features."""
    planar = builder.node("Transpose", ["tiles"], perm=[0, 3, 1, 2])
    pixels = builder.node("Cast", [planar], to=1)
    # Subtracting before the convolution keeps its zero padding exact; the division is folded into its weights.
    mean_bgr = np.array(IMAGENET_MEAN_RGB[::-1], np.float32).reshape(1, 3, 1, 1) * 255.0
    tensor = builder.node("Sub", [pixels, builder.constant(mean_bgr, "mean_bgr")])
    for index, layer in enumerate(trunk.features):
        name = f"features.{index}"
        if isinstance(layer, ConvNormActivation):
            tensor = _add_convolution(builder, tensor, layer, name, from_bgr_pixels=index == 0)
        else:
            assert isinstance(layer, InvertedResidual)
            tensor = _add_block(builder, tensor, layer, name)
    return _add_pooling(builder, tensor)


def _add_block(builder: GraphBuilder, tensor: str, layer: InvertedResidual, name: str) -> str:
    entry = tensor
    for index, part in enumerate(layer.block):
        part_name = f"{name}.block.{index}"
        if isinstance(part, SqueezeExcitation):
            tensor = _add_squeeze_excitation(builder, tensor, part, part_name)
        else:
            assert isinstance(part, ConvNormActivation)
            tensor = _add_convolution(builder, tensor, part, part_name)
    return builder.node("Add", [tensor, entry]) if layer.residual else tensor


def _add_convolution(
    builder: GraphBuilder, tensor: str, layer: ConvNormActivation, name: str, from_bgr_pixels: bool = False
) -> str:
    """Convolution with the batch normalisation folded into it, then the activation."""
    convolution, norm = layer[0], layer[1]
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weights = _array(convolution.weight * gain[:, None, None, None])
    bias = _array(norm.bias - norm.running_mean * gain)
    if from_bgr_pixels:
        weights = (weights / (np.array(IMAGENET_STD_RGB, np.float32).reshape(1, 3, 1, 1) * 255.0))[:, ::-1]
    padding = convolution.kernel_size[0] // 2
    result = builder.node(
        "Conv",
        [tensor, builder.weights(weights, 0, f"{name}.weight"), builder.constant(bias, f"{name}.bias")],
        kernel_shape=list(convolution.kernel_size),
        strides=list(convolution.stride),
        pads=[padding] * 4,
        group=convolution.groups,
    )
    if layer.activation is None:
        return result
    return builder.node("HardSwish" if layer.activation == "hard_swish" else "Relu", [result])


def _add_squeeze_excitation(builder: GraphBuilder, tensor: str, layer: SqueezeExcitation, name: str) -> str:
    scale = builder.node("GlobalAveragePool", [tensor])
    for part, convolution in (("fc1", layer.fc1), ("fc2", layer.fc2)):
        assert convolution.bias is not None
        weights = builder.weights(_array(convolution.weight), 0, f"{name}.{part}.weight")
        bias = builder.constant(_array(convolution.bias), f"{name}.{part}.bias")
        scale = builder.node("Conv", [scale, weights, bias], kernel_shape=[1, 1])
        scale = builder.node("Relu", [scale]) if part == "fc1" else scale
    scale = builder.node("HardSigmoid", [scale], alpha=1 / 6, beta=0.5)
    return builder.node("Mul", [tensor, scale])


def _add_pooling(builder: GraphBuilder, feature_map: str) -> str:
    """Mean, standard deviation and maximum over space, concatenated."""
    mean = builder.node("GlobalAveragePool", [feature_map])
    centred = builder.node("Sub", [feature_map, mean])
    variance = builder.node("GlobalAveragePool", [builder.node("Mul", [centred, centred])])
    epsilon = builder.constant(np.array(POOLING_EPSILON, np.float32), "pooling_epsilon")
    std = builder.node("Sqrt", [builder.node("Add", [variance, epsilon])])
    highest = builder.node("GlobalMaxPool", [feature_map])
    return builder.node("Flatten", [builder.node("Concat", [mean, std, highest], axis=1)])


def _add_head(builder: GraphBuilder, pooled: str, head: TileHead) -> None:
    projected = builder.dense(pooled, head.projection, head.projection_bias, "projection")
    fourier = builder.node("Cos", [builder.dense(projected, head.frequencies, head.phases, "frequencies")])
    raw = builder.dense(fourier, head.coefficients, head.intercepts, "heads")
    columns = [
        builder.node("Gather", [raw, builder.constant(np.array(i, np.int64), f"column_{i}")], axis=1) for i in range(4)
    ]
    builder.node("Sigmoid", [columns[0]], "crack_score")
    builder.node("Sigmoid", [columns[1]], "wide_score")
    builder.node("Clip", [columns[2], *_limits(builder, LOG_WIDTH_RANGE, "log_width")], "log_width_px")
    log_sigma = builder.node("Clip", [columns[3], *_limits(builder, LOG_SIGMA_RANGE, "log_sigma")])
    builder.node("Exp", [log_sigma], "log_width_sigma")


def _limits(builder: GraphBuilder, limits: tuple[float, float], name: str) -> list[str]:
    ends = zip(("low", "high"), limits, strict=True)
    return [builder.constant(np.array(value, np.float32), f"{name}_{end}") for end, value in ends]


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return np.asarray(tensor.detach().float().numpy(), np.float32)


def multiply_accumulates(trunk: MobileNetV3Trunk, head: TileHead | None, tile_px: int) -> int:
    """Multiply-accumulates of one tile: every convolution and dense layer."""
    total = 0

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += layer.weight[0].numel() * output[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in trunk.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        trunk.eval()(torch.zeros(1, 3, tile_px, tile_px))
    for hook in hooks:
        hook.remove()
    if head is not None:
        total += head.projection.size + head.frequencies.size + head.coefficients.size
    return total
