# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A trained model as the teacher of a student, in place of a backbone that is fine-tuned for it."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.data.view_cache import TeacherOutputs
from crack_perception.vision.tiling import in_channels

_OUTPUTS = ("crack_score", "log_width_px")
# A score that float32 rounds to 0 or 1 has no logit.
_LEAST_SCORE = 1e-6


class ModelTeacher:
    """Logits, widths and pooled features of tiles by a model folder.

    The logit is that of the calibrated score, so that a student learns the head of the model too. The trunk accepts
    tiles of any side, because its features are pooled.

    Args:
        model: Shipped or trained model.
        threads: Number of threads of ONNX Runtime.

    Attributes:
        digest: Identifier of the graph, 12 hexadecimal digits.

    Raises:
        UserError: The graph does not pool a feature map into one row of features.
    """

    def __init__(self, model: LoadedModel, threads: int) -> None:
        graph = onnx.load_model_from_string(model.graph)
        pooled = [node.output[0] for node in graph.graph.node if node.op_type == "Flatten"]
        if len(pooled) != 1:
            raise UserError(
                f"the model {model.name} has no pooled features that a student could learn",
                "Give a model of `crack_perception train`",
            )
        _free_side(graph.graph)
        kept = [output for output in graph.graph.output if output.name in _OUTPUTS]
        del graph.graph.output[:]
        graph.graph.output.extend(kept)
        graph.graph.output.append(onnx.helper.make_tensor_value_info(pooled[0], onnx.TensorProto.FLOAT, ["N", None]))
        self.digest = hashlib.sha256(model.graph).hexdigest()[:12]
        self._names = [*_OUTPUTS, pooled[0]]
        self._channels = model.channels
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, tiles: npt.NDArray[np.uint8]) -> TeacherOutputs:
        """Return the outputs for tiles ``(B, S, S, 3)`` uint8 BGR."""
        seen = in_channels(tiles, self._channels)
        scores, log_widths, features = (
            np.asarray(values, np.float32) for values in self._session.run(self._names, {"tiles": seen})
        )
        bounded = np.clip(scores.astype(np.float64), _LEAST_SCORE, 1 - _LEAST_SCORE)
        return TeacherOutputs(np.log(bounded / (1 - bounded)).astype(np.float32), log_widths, features)


def _free_side(graph: onnx.GraphProto) -> None:
    """Let a graph take tiles of any side."""
    for axis in (1, 2):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side_{axis}"
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type == "Reshape":
            # (N, T, T, 1) to (N, 1, T, T) of grey tiles, with a fixed T: the same as a transposition.
            node.op_type = "Transpose"
            del node.input[1:], node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("perm", [0, 3, 1, 2]))
