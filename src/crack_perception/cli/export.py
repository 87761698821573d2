"""``crack_perception export``: a model as one file for another runtime."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a model as a plain .onnx file (TensorRT, ONNX Runtime) or as a .tflite file (Android)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", default="standard", help="name of a shipped model or folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="file to write; its ending, .onnx or .tflite, decides")
    parser.add_argument(
        "--float-weights",
        action="store_true",
        help="float32 weights instead of int8 with a scale: a larger file of the simplest operators",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say what it is."""
    from crack_perception.cli.training_tools import require_training_tools
    from crack_perception.errors import UsageError
    from crack_perception.recognition.models import load_model

    ending = arguments.out.suffix
    if ending not in (".onnx", ".tflite"):
        raise UsageError(f"--out {arguments.out} ends neither in .onnx nor in .tflite")
    model = load_model(arguments.model)
    if ending == ".tflite":
        require_training_tools("torch", "onnx")
        from crack_perception.training.export.tflite import tflite_model

        content = tflite_model(model.graph, model.tile_shape, int8_weights=not arguments.float_weights)
    elif arguments.float_weights:
        require_training_tools("onnx")
        from onnx import ModelProto

        from crack_perception.training.export.onnx_graph import with_float_weights

        content = with_float_weights(ModelProto.FromString(model.graph)).SerializeToString()
    else:
        content = model.graph
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(content)
    print(f"{arguments.out}: {model.name} {model.sha256[:12]}, {len(content):,} bytes")
    return 0
