# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception export``: write a model as one file for another runtime."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a model as a plain .onnx file (TensorRT, ONNX Runtime) or as a .tflite file (Android)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--model", default="standard", help="name of a shipped model or folder (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, required=True, help="file to write; the suffix .onnx or .tflite selects the format"
    )
    parser.add_argument(
        "--float-weights",
        action="store_true",
        help="float32 weights instead of scaled int8: a larger file with simpler operators",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file and print its description."""
    from crack_perception.cli.common import require_packages
    from crack_perception.errors import UsageError
    from crack_perception.mapping.storage.atomic_file import write_atomically
    from crack_perception.recognition.models import load_model

    suffix = arguments.out.suffix
    if suffix not in (".onnx", ".tflite"):
        raise UsageError(f"--out {arguments.out} must end in .onnx or .tflite")
    model = load_model(arguments.model)
    if suffix == ".tflite":
        require_packages("torch", "onnx")
        from crack_perception.training.export.tflite import tflite_model

        content = tflite_model(model.graph, model.tile_shape, int8_weights=not arguments.float_weights)
    elif arguments.float_weights:
        require_packages("onnx")
        from onnx import ModelProto

        from crack_perception.training.export.onnx_graph import with_float_weights

        content = with_float_weights(ModelProto.FromString(model.graph)).SerializeToString()
    else:
        content = model.graph
    write_atomically(arguments.out, content)
    print(f"{arguments.out}: {model.name} {model.sha256[:12]}, {len(content):,} bytes")
    return 0
