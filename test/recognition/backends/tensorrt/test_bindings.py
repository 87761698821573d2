# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests that fake_nvidia.py has the names and signatures of TensorRT and PyCUDA, where these are installed."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import fake_nvidia
import pytest

TENSORRT_MODULES = ("tensorrt", "tensorrt_bindings", "tensorrt_rtx", "tensorrt_rtx_bindings")


def real(names: tuple[str, ...], mark: str) -> ModuleType:
    """Import the first of these modules that is installed and complete."""
    reasons = []
    for name in names:
        try:
            module = importlib.import_module(name)
        except Exception as error:
            reasons.append(f"{name}: {error}")
            continue
        if hasattr(module, mark):
            return module
        reasons.append(f"{name} is empty")
    pytest.skip(f"no real bindings to compare with ({'; '.join(reasons)})")


def documented(function: Any) -> list[list[tuple[str, bool]]]:
    """Return name and optionality of the parameters of each overload in the docstring of a C++ binding."""
    overloads = []
    for line in (function.__doc__ or "").splitlines():
        call = re.match(r"(?:\d+\. )?\w+\((.*)\) ->", line.strip())
        if call is None or call[1] == "*args, **kwargs":
            continue
        if re.match(r"\s*\(", call[1]):  # Boost: init([  (int)flags=0]), push( (Context)arg1)
            parameters = [
                (found[3], "[" in found[1] or found[4] == "=")
                for found in re.finditer(r"(\[?[\s,]*\[?\s*)\((\w+)\)(\w+)(=?)", call[1])
            ]
        elif call[1].startswith("["):
            parameters = [(found[1], True) for found in re.finditer(r"\(\w+\)(\w+)", call[1])]
        else:  # pybind11: parse(self: T, model: buffer, path: str = None)
            parts = re.split(r", (?=\w+: )", call[1]) if call[1] else []
            parameters = [(part.split(":")[0], " = " in part) for part in parts]
        overloads.append([entry for entry in parameters if entry[0] not in ("self",)])
    return overloads


def agree(fake: Callable[..., Any], overload: list[tuple[str, bool]], is_method: bool) -> bool:
    """Return whether the fake takes the parameters of an overload in its order; others must be optional there."""
    ours = [name for name in inspect.signature(fake).parameters if name != "self"]
    theirs = [name for name, _ in overload]
    if is_method and theirs[:1] == ["arg1"] and len(theirs) > len(ours):  # Boost's name of self
        theirs, overload = theirs[1:], overload[1:]
    return theirs[: len(ours)] == ours and all(optional for _, optional in overload[len(ours) :])


def methods(kind: type) -> list[str]:
    return [
        name
        for name, value in vars(kind).items()
        if (inspect.isfunction(value) or isinstance(value, staticmethod)) and not name.startswith("_")
    ]


@pytest.mark.parametrize("fake", fake_nvidia.TENSORRT_CLASSES, ids=lambda kind: kind.__name__)
def test_tensorrt_bindings_have_names_of_fake(fake: type) -> None:
    kind = getattr(real(TENSORRT_MODULES, "Builder"), fake.__name__)
    if issubclass(fake, enum.Enum):
        assert {member.name for member in fake} <= set(kind.__members__)
        return
    for name in methods(fake):
        overloads = documented(getattr(kind, name))
        assert any(agree(getattr(fake, name), overload, True) for overload in overloads), (name, overloads)
    for name in [name for name, value in vars(fake).items() if isinstance(value, property)]:
        assert isinstance(getattr(kind, name), property)


def test_tensorrt_bindings_have_used_attributes() -> None:
    tensorrt = real(TENSORRT_MODULES, "Builder")
    assert isinstance(tensorrt.IBuilderConfig.progress_monitor, property)
    assert isinstance(tensorrt.OnnxParser.num_errors, property)
    assert {severity.name for severity in fake_nvidia.Severity} <= set(tensorrt.ILogger.Severity.__members__)
    assert int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) in (0, 1)
    assert tensorrt.__version__


@pytest.mark.parametrize("fake", fake_nvidia.PYCUDA_CLASSES[:-1], ids=lambda kind: kind.__name__)
def test_pycuda_has_names_of_fake(fake: type) -> None:
    kind = getattr(real(("pycuda.driver", "pycuda._driver"), "Device"), fake.__name__)
    for name in methods(fake):
        overloads = documented(getattr(kind, name))
        assert any(agree(getattr(fake, name), overload, True) for overload in overloads), (name, overloads)
    if fake is fake_nvidia.Stream:
        assert isinstance(kind.handle, property)
    if fake is fake_nvidia.DeviceAllocation:
        assert "int" in kind.__int__.__doc__


@pytest.mark.parametrize("fake", fake_nvidia.PYCUDA_FUNCTIONS, ids=lambda function: function.__name__)
def test_pycuda_signatures_match_fake(fake: Callable[..., Any]) -> None:
    function = getattr(real(("pycuda.driver", "pycuda._driver"), "Device"), fake.__name__)
    overloads = documented(function)
    assert any(agree(fake, overload, False) for overload in overloads), overloads


def test_signature_parser_reads_binding_docstrings() -> None:
    def pybind() -> None:
        """parse(self: tensorrt.OnnxParser, model: buffer, path: str = None) -> bool"""

    def overloaded() -> None:
        """f(*args, **kwargs)
        Overloaded function.

        1. f(self: T, name: str, shape: tuple) -> bool

        2. f(self: T, name: str) -> bool
        """

    def boost() -> None:
        """pagelocked_empty( (object)shape, (object)dtype [, (object)order='C' [, (int)mem_flags=0]]) -> object :"""

    assert documented(pybind) == [[("model", False), ("path", True)]]
    assert documented(overloaded) == [[("name", False), ("shape", False)], [("name", False)]]
    assert documented(boost) == [[("shape", False), ("dtype", False), ("order", True), ("mem_flags", True)]]
    assert agree(fake_nvidia.OnnxParser.parse, documented(pybind)[0], True)
    assert not agree(fake_nvidia.OnnxParser.get_error, documented(pybind)[0], True)
    assert agree(fake_nvidia.pagelocked_empty, documented(boost)[0], False)
