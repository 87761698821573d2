# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""TensorRT's Python module, imported when needed: the calls used here exist in TensorRT 10.3 and in 11."""

from __future__ import annotations

import logging
from typing import Any

from crack_perception.errors import UserError

_log = logging.getLogger(__name__)


def load_tensorrt() -> Any:
    """The module ``tensorrt``.

    Raises:
        UserError: It is not installed, its libraries are not, or it is a package of type stubs.
    """
    try:
        import tensorrt
    except Exception as error:  # without its libraries it fails with whatever the loader of the system says
        raise UserError(
            f"tensorrt cannot be imported ({error})",
            "Install TensorRT 10.3 or newer; on a Jetson it comes with JetPack",
        ) from error
    if not hasattr(tensorrt, "Runtime"):
        raise UserError("the package tensorrt that is installed holds no TensorRT", "pip uninstall tensorrt-stubs")
    return tensorrt


def make_logger(tensorrt: Any) -> Any:
    """A logger for TensorRT that passes warnings and errors on to Python's logging.

    Returns:
        A ``tensorrt.ILogger`` whose ``last_error`` is the text of the last error, which TensorRT's own exceptions and
        results do not hold.
    """
    severity = tensorrt.ILogger.Severity

    class Logger(tensorrt.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.last_error = ""

        def log(self, level: Any, message: str) -> None:
            """What TensorRT calls with every line."""
            if level in (severity.INTERNAL_ERROR, severity.ERROR):
                self.last_error = message
                _log.error("TensorRT: %s", message)
            elif level == severity.WARNING:
                _log.info("TensorRT: %s", message)

    return Logger()
