# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Settings of a survey run: node parameters, model and partition; their digest identifies results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crack_perception import __version__
from crack_perception.errors import UserError
from crack_perception.mapping.settings import MapSettings
from crack_perception.parameter_files import ineffective_settings, parameter_values
from crack_perception.recognition.model_choice import AUTO_MODEL
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.common.severity_parameters import severity_scale
from crack_perception.ros.detector.parameters import TABLE, Settings

NODE = "/crack_node"

FORMAT = 4
"""Version of the files; results of another version are computed again."""

_BEST_MODEL = "standard"

# A recording has no deadlines, and one process runs on every core.
_OFFLINE: dict[str, Any] = {
    "frame_budget_ms": 0.0,
    "measure_time_ms": 0.0,
    "hover_rate_hz": 0.0,
    "pose_timeout_s": 0.0,
    "inference_threads": 1,
    "collect_tiles": 0,
}
# Settings that the maps alone depend on.
_OF_MAPS = ("map", "evidence_bytes")


@dataclass(frozen=True)
class SurveySettings:
    """Settings of a run, sent to every worker.

    Attributes:
        parameters: Parameters of crack_node that the user has set, by name; they take precedence over those that follow
            from a recording.
        model_sha256: Of the model's graph.
        topics: Input of the node -> topic, as in ``replay``.
        part_s: Length of the parts in which a recording is processed [s].
        part_pictures: Number of pictures in a part of a folder of photographs.
        lead_in_s: Time before each part from which poses and ranges are read, so that the surface is known [s].
        map: Settings of the crack map.
        evidence_bytes: Limit for the photographs of a map.
    """

    parameters: Mapping[str, Any]
    model_sha256: str
    topics: Mapping[str, str] = field(default_factory=dict)
    part_s: float = 30.0
    part_pictures: int = 40
    lead_in_s: float = 10.0
    map: MapSettings = field(default_factory=MapSettings)
    evidence_bytes: int = 1_000_000_000

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the detections of a recording depend on, except the recording."""
        content = {name: value for name, value in asdict(self).items() if name not in _OF_MAPS}
        # The folder of the model may differ; its graph may not.
        content["parameters"] = {name: value for name, value in self.parameters.items() if name != "model"}
        content |= {"version": __version__, "format": FORMAT}
        return _digest(content)

    @property
    def map_digest(self) -> str:
        """SHA-256 of the settings of the map."""
        return _digest({"map": asdict(self.map), "evidence_bytes": self.evidence_bytes})

    @property
    def scale(self) -> SeverityScale:
        """Severity classes."""
        return severity_scale({spec.name: spec.default for spec in TABLE.specs} | dict(self.parameters))

    def node_settings(self, from_recording: Mapping[str, Any]) -> Settings:
        """Return the node's settings for a recording.

        Args:
            from_recording: Parameters that follow from the recording.

        Raises:
            UserError: A value is invalid, or two contradict each other.
        """
        defaults = {spec.name: spec.default for spec in TABLE.specs}
        return TABLE.settings_from(defaults | dict(from_recording) | dict(self.parameters) | _OFFLINE)


def survey_settings(
    params_file: Path | None,
    options: Mapping[str, Any],
    topics: Mapping[str, str],
    part_s: float,
    evidence_bytes: int = 1_000_000_000,
) -> SurveySettings:
    """Return the settings of a run.

    Args:
        params_file: Parameter file of crack_node; None for the defaults.
        options: Parameters that take precedence over the file.
        topics: As in ``SurveySettings``.
        part_s: As in ``SurveySettings``.
        evidence_bytes: As in ``SurveySettings``; 0: no photographs are taken.

    Raises:
        UserError: The file or a value is invalid, or there is no such model.
    """
    values: dict[str, Any] = {"model": _BEST_MODEL, "backend": "onnxruntime"}
    if params_file is not None:
        known = [spec.name for spec in TABLE.specs]
        problems = ineffective_settings(params_file, NODE, known)
        if problems:
            raise UserError(problems[0])
        values |= {name: value for name, value in parameter_values(params_file, NODE).items() if name in known}
    values |= options
    if values["model"] == AUTO_MODEL:  # a recording has no rate to sustain
        values["model"] = _BEST_MODEL
    if values["backend"] == "auto":  # what is fastest differs from machine to machine, and so do the last bits
        values["backend"] = "onnxruntime"
    model = load_model(str(values["model"]))
    if not evidence_bytes:
        values["evidence"] = False
    settings = SurveySettings(values, model.sha256, dict(topics), part_s, evidence_bytes=evidence_bytes)
    settings.node_settings({})
    return settings


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
