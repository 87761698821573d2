# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the shipped graphs with parser and builder of a real TensorRT, without a GPU.

TensorRT for RTX builds engines on any machine for a given GPU. If its wheels ``tensorrt-rtx-cu13-bindings`` and
``tensorrt-rtx-cu13-libs`` are installed, ``build_engine`` uses them without changes.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_model import TILE_PX

from crack_perception.errors import UserError
from crack_perception.recognition.backends.tensorrt.engine_builder import PRECISIONS, build_engine
from crack_perception.recognition.models import load_model

engine_graph = pytest.importorskip(
    "crack_perception.training.export.engine_graph", reason="onnx is not installed"
).engine_graph


@pytest.fixture(scope="module")
def tensorrt() -> Any:
    """TensorRT for RTX under the names of TensorRT, building for an Ampere GPU."""
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        try:
            real = importlib.import_module(name)
            break
        except ImportError:
            continue
    else:
        pytest.skip("neither tensorrt_rtx nor tensorrt_rtx_bindings is installed")

    class Builder(real.Builder):  # type: ignore[misc,name-defined]
        def create_builder_config(self) -> Any:
            config = super().create_builder_config()
            config.num_compute_capabilities = 1
            config.set_compute_capability(real.ComputeCapability.SM86, 0)
            return config

    names = {name: getattr(real, name) for name in dir(real) if not name.startswith("__")}
    return SimpleNamespace(**{**names, "Builder": Builder, "__version__": real.__version__})


@pytest.mark.slow
@pytest.mark.parametrize("precision", sorted(PRECISIONS))
@pytest.mark.parametrize("name", ["nano", "standard"])
def test_build_engine_shipped_model_built(tensorrt: Any, name: str, precision: str) -> None:
    model = load_model(name)
    graph = engine_graph(model.graph, model.tile_px, precision)
    engine = build_engine(tensorrt, graph, model.tile_shape, 45, lambda _line: None)
    assert len(engine) > 100_000


def test_build_engine_other_content_refused(tensorrt: Any) -> None:
    with pytest.raises(UserError, match="cannot parse the graph"):
        build_engine(tensorrt, b"no graph", (TILE_PX, TILE_PX, 3), 4, lambda _line: None)
