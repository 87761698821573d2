# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception build-engine``: build the TensorRT engine of a model for this machine's GPU."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "build the TensorRT engine of a model for this machine's NVIDIA GPU (seconds to minutes)"

_MOST_TILES = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--model", default="standard", help="name of a shipped model or folder (default: %(default)s)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16"),
        default="fp32",
        help="fp16: half precision, where scores change by at most about 0.002 (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=45,
        help="largest number of tiles per call, best that of a frame (default: %(default)s)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        help="folder of the engines (default: the user's cache, the only one that crack_node uses)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build the engine unless it is cached, and print its path."""
    from crack_perception.cli.common import require_packages
    from crack_perception.errors import UsageError
    from crack_perception.mapping.storage.atomic_file import write_atomically
    from crack_perception.recognition.backends.tensorrt.cuda import CudaThread
    from crack_perception.recognition.backends.tensorrt.engine_builder import build_engine
    from crack_perception.recognition.backends.tensorrt.engine_cache import EngineSite, cache_folder
    from crack_perception.recognition.backends.tensorrt.engine_file import BadEngineFile, pack_engine, read_engine
    from crack_perception.recognition.backends.tensorrt.library import load_tensorrt
    from crack_perception.recognition.models import load_model

    if not 1 <= arguments.batch <= _MOST_TILES:
        raise UsageError(f"--batch {arguments.batch} is not a number from 1 to {_MOST_TILES}")
    model = load_model(arguments.model)
    tensorrt = load_tensorrt()
    require_packages("onnx", extra="tensorrt")
    from crack_perception.training.export.engine_graph import engine_graph

    cuda = CudaThread()
    try:
        site = EngineSite.here(model, tensorrt, cuda)
        key = site.key(arguments.precision, arguments.batch)
        path = (arguments.cache or cache_folder()) / key.file_name
        if path.exists():
            try:
                read_engine(path, key)
                print(f"{path}: already exists")
                return 0
            except BadEngineFile as error:
                print(f"{path}: {error}; rebuilding it")
        print(
            f"Building {model.name} {key.precision} with TensorRT {key.tensorrt} for {key.gpu}; this can take minutes"
        )
        graph = engine_graph(model.graph, model.tile_px, key.precision)
        engine = cuda.do(lambda: build_engine(tensorrt, graph, model.tile_shape, key.batch, _print_step))
    finally:
        cuda.close()
    write_atomically(path, pack_engine(key, engine))
    print(f"{path}: {model.name} {model.sha256[:12]}, {key.precision}, {len(engine):,} bytes")
    return 0


def _print_step(line: str) -> None:
    print(f"  {line}", flush=True)
