# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ONNX graph from uint8 tiles to scores: normalisation, trunk, pooling, compressed SVM and calibration.

A trunk with luminance input gets tiles of one channel: the tiler converts them to grey in a tenth of the time that the
graph would need.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, TensorProto
from torch import nn

from crack_perception.recognition.backends.protocol import NO_STRUCTURE_OUTPUT, OUTPUT_NAMES
from crack_perception.training.backbones.efficientnet_lite import LiteBlock, SamePaddedConvolution
from crack_perception.training.backbones.mobilenet_v3 import ConvNormActivation, InvertedResidual, SqueezeExcitation
from crack_perception.training.backbones.network import POOLING_EPSILON, Trunk
from crack_perception.training.backbones.preprocessing import Preprocessing
from crack_perception.training.distillation.students import LUMINANCE_MEAN, LUMINANCE_STD, Luminance
from crack_perception.training.export.onnx_graph import GraphBuilder
from crack_perception.training.heads.compression import LinearReadout
from crack_perception.training.heads.head import LOG_SIGMA_RANGE, LOG_WIDTH_RANGE, TileHead
from crack_perception.training.heads.structure import GATE_LOGIT, StructureReadout
from crack_perception.vision.tiling import COLOUR, GREY

Array = npt.NDArray[np.float32]


def feature_model(trunk: Trunk, tile_px: int, int8_weights: bool) -> ModelProto:
    """Build the graph from ``tiles`` to the pooled features ``pooled`` ``(N, 3 C)``, which the heads are fitted on."""
    builder = GraphBuilder(int8_weights)
    pooled = _add_trunk(builder, trunk, tile_px)
    builder.node("Identity", [pooled], "pooled")
    return builder.model("crack_features", _tile_shape(trunk, tile_px), {"pooled": (3 * trunk.out_channels,)})


def tile_model(
    trunk: Trunk,
    head: TileHead,
    tile_px: int,
    int8_weights: bool,
    structure: StructureReadout | None = None,
) -> ModelProto:
    """Build the complete graph from ``tiles`` to the outputs of a model file.

    Args:
        trunk: Trained trunk.
        head: Head with the four outputs of every model.
        tile_px: Side of the tiles [px].
        int8_weights: Round the weights to int8.
        structure: Readout of "no structure" from the pooled features, for a fifth output.
    """
    builder = GraphBuilder(int8_weights)
    pooled = _add_trunk(builder, trunk, tile_px)
    if structure is not None and structure.gates:
        _add_head(builder, pooled, head, _add_structure_score(builder, pooled, structure.logit))
    else:
        _add_head(builder, pooled, head)
        if structure is not None:
            _add_structure_score(builder, pooled, structure.logit)
    outputs = OUTPUT_NAMES if structure is None else (*OUTPUT_NAMES, NO_STRUCTURE_OUTPUT)
    return builder.model("crack_perception", _tile_shape(trunk, tile_px), dict.fromkeys(outputs, ()))


def channels_of(trunk: Trunk) -> int:
    """Return the number of channels of a trunk's input tiles: ``GREY`` or ``COLOUR``."""
    return GREY if isinstance(trunk.features[0], Luminance) else COLOUR


def _tile_shape(trunk: Trunk, tile_px: int) -> tuple[int, int, int]:
    return tile_px, tile_px, channels_of(trunk)


def _add_trunk(builder: GraphBuilder, trunk: Trunk, tile_px: int) -> str:
    """Add normalisation, all blocks and the pooling; return the name of the pooled features."""
    first, *layers = (layer for layer in _flat(trunk.features) if not isinstance(layer, Luminance))
    assert isinstance(first, ConvNormActivation)
    tensor = _add_first_convolution(builder, first, tile_px, trunk.preprocessing)
    for layer in layers:
        if isinstance(layer, InvertedResidual | LiteBlock):
            tensor = _add_block(builder, tensor, layer)
        else:
            assert isinstance(layer, ConvNormActivation)
            tensor = _convolve(builder, tensor, layer, *_folded(layer))
    return _add_pooling(builder, tensor)


def _flat(layers: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of a trunk; EfficientNet-Lite groups its blocks by stage."""
    for layer in layers.children():
        if type(layer) is nn.Sequential:
            yield from layer.children()
        else:
            yield layer


def _add_first_convolution(
    builder: GraphBuilder, layer: ConvNormActivation, tile_px: int, preprocessing: Preprocessing
) -> str:
    """Add the normalisation of pixels 0 to 255 and the first convolution, whose weights include the division."""
    weights, bias = _folded(layer)
    # TensorRT supports uint8 inputs only for a cast, which therefore comes first.
    pixels = builder.node("Cast", ["tiles"], to=TensorProto.FLOAT)
    if weights.shape[1] == GREY:
        weights, mean = weights / LUMINANCE_STD, np.array(LUMINANCE_MEAN, np.float32)
        # Unlike a transposition, a reshape copies nothing.
        planar = builder.node("Reshape", [pixels, builder.constant(np.array([0, GREY, tile_px, tile_px], np.int64))])
    else:
        mean, std = (np.array(v[::-1], np.float32).reshape(1, 3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
        weights = weights[:, ::-1] / std
        planar = builder.node("Transpose", [pixels], perm=[0, 3, 1, 2])
    # Zero padding stands for the mean, so the mean must be subtracted first.
    centred = builder.node("Sub", [planar, builder.constant(mean)])
    return _convolve(builder, centred, layer, weights, bias)


def _add_block(builder: GraphBuilder, tensor: str, layer: InvertedResidual | LiteBlock) -> str:
    entry = tensor
    for part in layer.block:
        if isinstance(part, SqueezeExcitation):
            tensor = _add_squeeze_excitation(builder, tensor, part)
        else:
            assert isinstance(part, ConvNormActivation)
            tensor = _convolve(builder, tensor, part, *_folded(part))
    return builder.node("Add", [tensor, entry]) if layer.residual else tensor


def _folded(layer: ConvNormActivation) -> tuple[Array, Array]:
    """Fold the batch normalisation into weights and bias of the convolution."""
    convolution, norm = layer[0], layer[1]
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return _array(convolution.weight * gain[:, None, None, None]), _array(norm.bias - norm.running_mean * gain)


def _convolve(builder: GraphBuilder, tensor: str, layer: ConvNormActivation, weights: Array, bias: Array) -> str:
    """Add a layer's convolution with the given weights and bias, and its activation."""
    convolution = layer[0]
    assert isinstance(convolution, nn.Conv2d) and isinstance(convolution.padding, tuple)
    same = isinstance(convolution, SamePaddedConvolution)
    padding = {"auto_pad": "SAME_UPPER"} if same else {"pads": [*convolution.padding, *convolution.padding]}
    result = builder.node(
        "Conv",
        [tensor, builder.weights(weights, 0), builder.bias(bias)],
        kernel_shape=list(convolution.kernel_size),
        strides=list(convolution.stride),
        group=convolution.groups,
        **padding,
    )
    return _activate(builder, result, layer)


def _activate(builder: GraphBuilder, tensor: str, layer: ConvNormActivation) -> str:
    if layer.activation is None:
        return tensor
    if layer.activation == "relu6":
        return builder.node("Clip", [tensor, *_limits(builder, (0.0, 6.0))])
    return builder.node("HardSwish" if layer.activation == "hard_swish" else "Relu", [tensor])


def _add_squeeze_excitation(builder: GraphBuilder, tensor: str, layer: SqueezeExcitation) -> str:
    squeezed = _add_pointwise(builder, builder.node("GlobalAveragePool", [tensor]), layer.fc1)
    scale = _add_pointwise(builder, builder.node("Relu", [squeezed]), layer.fc2)
    return builder.node("Mul", [tensor, builder.node("HardSigmoid", [scale], alpha=1 / 6, beta=0.5)])


def _add_pointwise(builder: GraphBuilder, tensor: str, convolution: nn.Conv2d) -> str:
    assert convolution.bias is not None
    weights, bias = builder.weights(_array(convolution.weight), 0), builder.bias(_array(convolution.bias))
    return builder.node("Conv", [tensor, weights, bias], kernel_shape=[1, 1])


def _add_pooling(builder: GraphBuilder, feature_map: str) -> str:
    """Add mean, standard deviation and maximum over space, concatenated."""
    mean = builder.node("GlobalAveragePool", [feature_map])
    centred = builder.node("Sub", [feature_map, mean])
    variance = builder.node("GlobalAveragePool", [builder.node("Mul", [centred, centred])])
    epsilon = builder.constant(np.array(POOLING_EPSILON, np.float32))
    std = builder.node("Sqrt", [builder.node("Add", [variance, epsilon])])
    highest = builder.node("GlobalMaxPool", [feature_map])
    return builder.node("Flatten", [builder.node("Concat", [mean, std, highest], axis=1)])


def _add_structure_score(builder: GraphBuilder, pooled: str, readout: LinearReadout) -> str:
    """Add the score of "no structure"; return its logit."""
    weights = readout.coefficients.astype(np.float32)[:, None]
    logit = builder.dense(pooled, weights, np.array([readout.intercept], np.float32))
    column = builder.node("Gather", [logit, builder.constant(np.array(0, np.int64))], axis=1)
    builder.node("Sigmoid", [column], NO_STRUCTURE_OUTPUT)
    return column


def _add_head(builder: GraphBuilder, pooled: str, head: TileHead, gate: str | None = None) -> None:
    """Add the four outputs of every model; a gate is a logit of "no structure" that lowers the crack logit."""
    projected = builder.dense(pooled, head.projection, head.projection_bias)
    fourier = builder.node("Cos", [builder.dense(projected, head.frequencies, head.phases)])
    raw = builder.dense(fourier, head.coefficients, head.intercepts)
    columns = [builder.node("Gather", [raw, builder.constant(np.array(i, np.int64))], axis=1) for i in range(4)]
    if gate is not None:
        above = builder.node("Sub", [gate, builder.constant(np.array(GATE_LOGIT, np.float32))])
        columns[0] = builder.node("Sub", [columns[0], builder.node("Relu", [above])])
    builder.node("Sigmoid", [columns[0]], "crack_score")
    builder.node("Sigmoid", [columns[1]], "wide_score")
    builder.node("Clip", [columns[2], *_limits(builder, LOG_WIDTH_RANGE)], "log_width_px")
    log_sigma = builder.node("Clip", [columns[3], *_limits(builder, LOG_SIGMA_RANGE)])
    builder.node("Exp", [log_sigma], "log_width_sigma")


def _limits(builder: GraphBuilder, limits: tuple[float, float]) -> list[str]:
    return [builder.constant(np.array(value, np.float32)) for value in limits]


def _array(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.detach().float().numpy(), np.float32)


def parameters(trunk: nn.Module) -> int:
    """Count the parameters of a trunk that are in its graph."""
    return sum(number.numel() for layer in _layers_of_graph(trunk) for number in layer.parameters(recurse=False))


def multiply_accumulates(trunk: nn.Module, head: TileHead | None, tile_px: int) -> int:
    """Count the multiply-accumulates per tile of all convolutions and dense layers of the graph."""
    total = 0

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += layer.weight[0].numel() * output[0].numel()

    convolutions = [layer for layer in _layers_of_graph(trunk) if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in convolutions]
    with torch.no_grad():
        trunk.eval()(torch.zeros(1, 3, tile_px, tile_px))
    for hook in hooks:
        hook.remove()
    if head is not None:
        total += head.projection.size + head.frequencies.size + head.coefficients.size
    return total


def _layers_of_graph(trunk: nn.Module) -> list[nn.Module]:
    """List all layers except those of the conversion to luminance."""
    luminance = {part for layer in trunk.modules() if isinstance(layer, Luminance) for part in layer.modules()}
    return [layer for layer in trunk.modules() if layer not in luminance]
