# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Access to the head of a model inside its ONNX graph: read features and logits, add a linear term to the crack logit.

The head of a shipped model projects the pooled features on principal components, maps them to random Fourier features
and reads the crack logit as a linear function of these (``docs/method.md``). A site's linear term is added to that
logit and reads the principal components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import INPUT_NAME
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.adaptation.onnx_file import (
    MalformedOnnx,
    Node,
    OnnxFile,
    make_constant,
    make_node,
    renamed_input,
)
from crack_perception.vision.tiling import Image, in_channels

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

_SCORE = "crack_score"
_BATCH = 4


@dataclass(frozen=True)
class LinearTerm:
    """Term that is added to the crack logit: ``features @ weights + bias``, weights ``(P,)``."""

    weights: Vector
    bias: float

    def apply(self, features: Matrix) -> Vector:
        """Return the change of the logit ``(N,)`` for features ``(N, P)``."""
        return np.asarray(features @ self.weights + self.bias, np.float64)


class ModelHead:
    """Head of a verified model.

    Args:
        model: The model.

    Raises:
        UserError: Its graph has no head of the known form, or ONNX Runtime is missing.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        try:
            self._file = OnnxFile.decode(model.graph)
            self._reader, self._features = _head_of(self._file)
        except MalformedOnnx as error:
            raise UserError(
                f"{model.directory}: the head of the model cannot be adapted ({error})",
                "Use a shipped model, or one that 'crack_perception train' or 'adapt' wrote",
            ) from error
        self._logit = self._reader.inputs[0]
        score = self._file.producer(_SCORE)
        assert score is not None
        self._final_logit = score.inputs[0]
        self._trunk = graph_session(self._file.with_outputs(self._features, self._final_logit).encode())
        self._readout: Any = None

    def read(self, tiles: Iterable[Image]) -> tuple[Matrix, Vector]:
        """Compute features ``(N, P)`` and crack logits ``(N,)`` of BGR tiles ``(T, T, 3)``; an iterator is enough.

        A gate that lowers the logit is included.
        """
        pending: Iterator[Image] = iter(tiles)
        features, logits = [], []
        while batch := list(islice(pending, _BATCH)):
            pixels = in_channels(np.stack(batch), self._model.channels)
            outputs = self._trunk.run([self._features, self._final_logit], {INPUT_NAME: pixels})
            features.append(outputs[0])
            logits.append(np.ravel(outputs[1]))
        if not features:
            return np.empty((0, 0)), np.empty(0)
        return np.concatenate(features).astype(np.float64), np.concatenate(logits).astype(np.float64)

    def logits_of(self, features: Matrix) -> Vector:
        """Compute crack logits ``(N,)`` of stored features ``(N, P)``, before any gate, which reads more than these."""
        if self._readout is None:
            self._readout = graph_session(self._file.part(self._features, features.shape[1], self._logit).encode())
        (logits,) = self._readout.run([self._logit], {self._features: features.astype(np.float32)})
        return np.ravel(logits).astype(np.float64)

    def graph_with(self, term: LinearTerm) -> bytes:
        """Return the model's ONNX graph with a linear term added to the crack logit."""
        file = self._file
        names = {stem: file.unused_name(f"site_{stem}_") for stem in ("weights", "bias", "column", "term", "sum")}
        index = file.unused_name("site_index_")
        added = [
            make_node("Gemm", [self._features, names["weights"], names["bias"]], names["column"]),
            make_node("Gather", [names["column"], index], names["term"], axis=1),
            make_node("Add", [self._logit, names["term"]], names["sum"]),
        ]
        nodes: list[Node] = []
        for node in file.nodes:
            if node is self._reader:
                nodes += [*added, renamed_input(node, self._logit, names["sum"])]
            else:
                nodes.append(node)
        values: dict[str, npt.NDArray[Any]] = {
            names["weights"]: term.weights.astype(np.float32)[:, None],
            names["bias"]: np.array([term.bias], np.float32),
            index: np.array(0, np.int64),
        }
        constants = {name: make_constant(name, value) for name, value in values.items()}
        return replace(file, nodes=tuple(nodes), constants={**file.constants, **constants}).encode()


def _head_of(file: OnnxFile) -> tuple[Node, str]:
    """Return the node that reads the crack logit, and the name of the principal components that its head reads.

    That node is the Sigmoid of the crack score, or the gate before it, which subtracts a function of another score.

    Raises:
        MalformedOnnx: The graph has no such head.
    """
    sigmoid = file.producer(_SCORE)
    if sigmoid is None or sigmoid.operator != "Sigmoid":
        raise MalformedOnnx(f"{_SCORE} is no Sigmoid of a logit")
    gate = file.producer(sigmoid.inputs[0])
    reader = gate if gate is not None and gate.operator == "Sub" else sigmoid
    pending, fourier = [reader.inputs[0]], None
    while pending and fourier is None:
        node = file.producer(pending.pop())
        if node is not None and node.operator == "Cos":
            fourier = node
        elif node is not None:
            pending += node.inputs
    frequencies = file.producer(fourier.inputs[0]) if fourier is not None else None
    if frequencies is None or frequencies.operator != "Gemm":
        raise MalformedOnnx("the logit reads no Fourier features")
    projection = file.producer(frequencies.inputs[0])
    if projection is None or projection.operator != "Gemm":
        raise MalformedOnnx("the Fourier features read no principal components")
    return reader, frequencies.inputs[0]


def graph_session(graph: bytes) -> Any:
    """Open a graph with one thread."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("onnxruntime is not installed", "pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
