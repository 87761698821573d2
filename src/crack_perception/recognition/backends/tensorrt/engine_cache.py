# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The folder of engines, and which of them fits a model on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.paths import PACKAGE
from crack_perception.recognition.backends.tensorrt.cuda import CudaThread
from crack_perception.recognition.backends.tensorrt.engine_file import BadEngineFile, EngineKey, read_engine, read_key
from crack_perception.recognition.models import LoadedModel

RECIPE = 1
"""To be raised whenever engines that were built before no longer compute the same (``training/engine_graph.py``)."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/crack_perception/engines``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / PACKAGE / "engines"


@dataclass(frozen=True)
class EngineSite:
    """What an engine must have been built for, whatever its precision and batch.

    Attributes:
        graph_sha256: Of the model's graph.
        tile_px, channels: Of its tiles.
        tensorrt: Version of TensorRT here.
        gpu: Name of the GPU here.
        compute_capability: Of that GPU.
    """

    graph_sha256: str
    tile_px: int
    channels: int
    tensorrt: str
    gpu: str
    compute_capability: str

    @classmethod
    def here(cls, model: LoadedModel, tensorrt: Any, cuda: CudaThread) -> EngineSite:
        """A model's on this machine."""
        version = str(tensorrt.__version__)
        return cls(model.sha256, model.tile_px, model.channels, version, cuda.device_name, cuda.compute_capability)

    def key(self, precision: str, batch: int) -> EngineKey:
        """Of an engine of this precision and size."""
        return EngineKey(
            self.graph_sha256,
            RECIPE,
            precision,
            self.tile_px,
            self.channels,
            batch,
            self.tensorrt,
            self.gpu,
            self.compute_capability,
        )


def find_engine(folder: Path, site: EngineSite) -> tuple[EngineKey, bytes] | str:
    """The engine that was built last of those that fit, read and checked; or a sentence that says why there is none.

    Args:
        folder: Of the cache; it may be missing.
        site: What it must fit.
    """
    reasons = []
    for path in sorted(folder.glob("*.engine"), key=_age_ns, reverse=True):
        try:
            key = read_key(path)
            if key.graph_sha256 != site.graph_sha256:
                continue
            difference = _difference(key, site.key(key.precision, key.batch))
            if difference:
                reasons.append(f"{path} was built for {difference}")
            else:
                return key, read_engine(path, key)
        except BadEngineFile as error:
            reasons.append(f"{path} {error}")
    return f"{folder} holds no engine that fits{': ' if reasons else ''}{'; '.join(reasons)}"


def _age_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _difference(built: EngineKey, here: EngineKey) -> str:
    names = [name for name in EngineKey.__dataclass_fields__ if getattr(built, name) != getattr(here, name)]
    return ", ".join(f"{name} {getattr(built, name)}, here is {getattr(here, name)}" for name in names)
