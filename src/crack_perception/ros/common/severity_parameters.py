# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parameters of the severity scale, which both nodes declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crack_perception.errors import UserError
from crack_perception.recognition.severity import PRESETS_MM, SeverityScale
from crack_perception.ros.common.parameter_table import ParameterSpec

SEVERITY_SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        "severity_preset", "gb50204", "Standard whose class edges apply", choices=tuple(PRESETS_MM), live=True
    ),
    ParameterSpec(
        "severity_edges_mm", [0.0], "Custom ascending class edges [mm]; [0.0]: those of severity_preset", live=True
    ),
    ParameterSpec(
        "severity_confidence",
        0.9,
        "Least probability of a class; below it the severity is 'undetermined'",
        0.5,
        0.999,
        live=True,
    ),
)


def severity_scale(values: Mapping[str, Any]) -> SeverityScale:
    """Return the scale of ``severity_edges_mm`` if they are set, else of ``severity_preset``.

    Raises:
        UserError: The edges do not ascend; the text names the parameter.
    """
    edges = tuple(values["severity_edges_mm"])
    confidence = values["severity_confidence"]
    if edges and edges != (0.0,):
        try:
            return SeverityScale(edges, confidence)
        except UserError as error:
            raise UserError(f"severity_edges_mm: {error.problem}", error.remedy) from error
    return SeverityScale.of_preset(values["severity_preset"], confidence)
