# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parameters of px4_transforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crack_perception.errors import UserError
from crack_perception.ros.common.bond import BOND_SPEC
from crack_perception.ros.common.parameter_table import ParameterSpec, ParameterTable

SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec("autostart", False, "Configure and activate by itself at start, without a lifecycle manager"),
    BOND_SPEC,
    ParameterSpec("map_frame", "map", "Parent frame of the transforms: ENU, origin of PX4's estimate"),
    ParameterSpec("base_frame", "base_link", "Frame of the vehicle: forward-left-up"),
    ParameterSpec(
        "camera_frame",
        "camera_optical_frame",
        "Frame of the optical axes of the camera on the gimbal, as in the images' frame_id; empty: no gimbal",
    ),
    ParameterSpec(
        "gimbal_position", [0.0, 0.0, 0.0], "Centre of the gimbal's axes in the vehicle's FLU axes [m]", length=3
    ),
    ParameterSpec(
        "camera_position", [0.0, 0.0, 0.0], "Optical centre of the camera in the gimbal's FLU axes [m]", length=3
    ),
    ParameterSpec("gimbal_device_id", 0, "Number of the gimbal that carries the camera; 0: any", 0, 255),
)


@dataclass(frozen=True)
class TransformSettings:
    """All parameters of the node, checked."""

    map_frame: str
    base_frame: str
    camera_frame: str
    gimbal_position_m: tuple[float, float, float]
    camera_position_m: tuple[float, float, float]
    gimbal_device_id: int


def _settings_of(values: Mapping[str, Any]) -> TransformSettings:
    frames = [values[name] for name in ("map_frame", "base_frame", "camera_frame") if values[name]]
    if not values["map_frame"] or not values["base_frame"]:
        raise UserError("map_frame and base_frame must name frames")
    if len(set(frames)) < len(frames):
        raise UserError(f"map_frame, base_frame and camera_frame must differ, got {', '.join(frames)}")
    return TransformSettings(
        map_frame=values["map_frame"],
        base_frame=values["base_frame"],
        camera_frame=values["camera_frame"],
        gimbal_position_m=tuple(values["gimbal_position"]),
        camera_position_m=tuple(values["camera_position"]),
        gimbal_device_id=values["gimbal_device_id"],
    )


TABLE: ParameterTable[TransformSettings] = ParameterTable(SPECS, _settings_of)
