"""TensorFlow Lite files for Android, made by LiteRT Torch and AI Edge Quantizer."""

from __future__ import annotations

import contextlib
import sys

import torch

from crack_perception.errors import UserError
from crack_perception.training.export.graph_module import GraphModule


def tflite_model(graph: bytes, tile_shape: tuple[int, int, int], int8_weights: bool) -> bytes:
    """Convert a model's graph.

    The file takes one tile at a time: its signature has the input ``tiles``, uint8 ``(1, *tile_shape)``,
    and the outputs of the graph, float32 ``(1,)``.

    Args:
        graph: Bytes of the ONNX graph.
        tile_shape: Rows, columns and channels of a tile.
        int8_weights: Store weights as int8, one scale an output channel, and compute in float: what the graph itself
            does, and with its scales. Otherwise weights are float32.

    Raises:
        UserError: The converter is not installed, or cannot convert this graph.
    """
    try:
        import litert_torch  # type: ignore[import-not-found]
        from ai_edge_quantizer import quantizer, recipe  # type: ignore[import-not-found]
    except ImportError as error:
        raise UserError(
            f"the converter to TensorFlow Lite is not installed ({error})", "pip install 'crack_perception[tflite]'"
        ) from error
    tiles = torch.zeros((1, *tile_shape), dtype=torch.uint8)
    # Both packages print as they go.
    with contextlib.redirect_stdout(sys.stderr):
        converted = litert_torch.convert(GraphModule(graph).eval(), sample_kwargs={"tiles": tiles})
        content = bytes(converted.model_content())
        if not int8_weights:
            return content
        rounding = quantizer.Quantizer(content)
        rounding.load_quantization_recipe(recipe.weight_only_wi8_afp32())
        return bytes(rounding.quantize().quantized_model)
