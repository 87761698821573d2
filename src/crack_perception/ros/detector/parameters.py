# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Settings of crack_node: its parameters, checked together and in the units of the core.

``parameter_specs`` declares the parameters one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crack_perception.errors import UserError
from crack_perception.geometry.poses.motion import MotionLimits
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import names_ned
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.recognition.model_choice import Stream
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.common.parameter_table import ParameterTable
from crack_perception.ros.common.severity_parameters import severity_scale
from crack_perception.ros.detector.parameter_specs import (
    CONVENTION_PX4,
    POSE_OF_BODY,
    POSE_OF_CAMERA,
    POSE_OF_OPTICAL,
    SPECS,
    TYPE_VEHICLE_ODOMETRY,
)
from crack_perception.vision.images.samples import SAMPLE_BITS


@dataclass(frozen=True)
class Settings:
    """All parameters of the node, checked and in the units of the core."""

    model: str
    stream: Stream
    backend: str
    inference_threads: int
    tile_overlap: float
    tile_gsd_mm: float
    second_look: bool
    frame_budget_s: float
    hover_rate_hz: float
    threshold: float | None
    image_transport: str
    image_bridge: str
    image_is_rectified: bool
    image_bits: int
    image_is_visible_light: bool
    severity: SeverityScale
    measure_lines: bool
    measure_time_s: float
    resolvable_width_px: float
    map_frame: str
    pose_source: str
    camera_frame: str
    pose_type: str
    odom_type: str
    pose_convention: str
    use_pose_covariance: bool
    body_from_camera: Pose
    pose_timeout_s: float
    motion_limits: MotionLimits
    range_type: str
    range_max_age_s: float
    max_range_m: float
    max_gsd_mm_per_px: float
    max_crack_width_mm: float
    depth_unit_m: float
    range_relative_sigma: float
    range_floor_sigma_m: float
    depth_relative_sigma: float
    map_planes: MapPlanes
    standoff_m: float | None
    standoff_relative_sigma: float
    surface: str
    surface_normal_sigma_rad: float
    learn_surface: bool
    noise: NoiseModel
    jpeg_quality: int
    evidence: bool
    evidence_quality: int
    evidence_max_bytes_s: float
    collect_tiles: int
    collect_tiles_folder: str
    diagnostics_period_s: float
    no_image_warning_s: float


def _body_from_camera(values: Mapping[str, Any]) -> Pose:
    """Return the optical frame in the frame that the pose and odom topics locate.

    Raises:
        UserError: The extrinsic is not a pose, or contradicts the other parameters.
    """
    try:
        extrinsic = Pose.of(values["camera_extrinsic.translation"], values["camera_extrinsic.rotation"])
    except ValueError as error:
        raise UserError(f"camera_extrinsic: {error}") from error
    pose_of = values["pose_of"]
    if pose_of != POSE_OF_BODY and values["odom_type"] == TYPE_VEHICLE_ODOMETRY:
        raise UserError(
            f"pose_of is '{pose_of}' but odom_type 'VehicleOdometry' locates the body", "Set pose_of to 'body'"
        )
    if pose_of == POSE_OF_OPTICAL:
        if values["pose_convention"] == CONVENTION_PX4:
            raise UserError(
                "pose_of is 'optical' but pose_convention 'px4' has FRD axes, which no optical frame has",
                "Set pose_of to 'body' or 'camera', or pose_convention to 'ros'",
            )
        return Pose.identity()
    if pose_of == POSE_OF_CAMERA:
        return Pose.of((0.0, 0.0, 0.0), FORWARD_LOOKING_OPTICAL)
    return extrinsic


def _settings_of(values: Mapping[str, Any]) -> Settings:
    try:
        map_planes = MapPlanes.of(
            values["map_planes.equations"],
            values["map_planes.sigma_m"],
            math.radians(values["map_planes.normal_sigma_deg"]),
        )
    except ValueError as error:
        raise UserError(f"map_planes.equations: {error}") from error
    if values["pose_convention"] == CONVENTION_PX4 and values["pose_source"] == "tf":
        raise UserError(
            "pose_convention is 'px4' but pose_source is 'tf', whose axes are those of ROS (REP 103)",
            "Set pose_source to 'pose' or 'odom', or pose_convention to 'ros'",
        )
    if values["image_bits"] not in SAMPLE_BITS:
        raise UserError(f"image_bits must be one of {', '.join(map(str, SAMPLE_BITS))}, got {values['image_bits']}")
    if not values["map_frame"]:
        raise UserError("map_frame must name a frame")
    if names_ned(values["map_frame"]):
        raise UserError(
            f"map_frame is '{values['map_frame']}', a north-east-down frame, but results have ENU axes (REP 103)",
            "Set map_frame to the ENU frame, for example 'map', and pose_convention to 'px4' if poses are in NED",
        )
    return Settings(
        model=values["model"],
        stream=Stream(
            values["expected_rate_hz"],
            values["expected_width_px"],
            values["expected_height_px"],
            values["tile_overlap"],
        ),
        backend=values["backend"],
        inference_threads=values["inference_threads"],
        tile_overlap=values["tile_overlap"],
        tile_gsd_mm=values["tile_gsd_mm"],
        second_look=values["second_look"],
        frame_budget_s=values["frame_budget_ms"] / 1000.0,
        hover_rate_hz=values["hover_rate_hz"],
        threshold=values["threshold"] or None,
        image_transport=values["image_transport"],
        image_bridge=values["image_bridge"],
        image_is_rectified=values["image_is_rectified"],
        image_bits=values["image_bits"],
        image_is_visible_light=values["image_is_visible_light"],
        severity=severity_scale(values),
        measure_lines=values["measure_lines"],
        measure_time_s=values["measure_time_ms"] / 1000.0,
        resolvable_width_px=values["resolvable_width_px"],
        map_frame=values["map_frame"],
        pose_source=values["pose_source"],
        camera_frame=values["camera_frame"],
        pose_type=values["pose_type"],
        odom_type=values["odom_type"],
        pose_convention=values["pose_convention"],
        use_pose_covariance=values["use_pose_covariance"],
        body_from_camera=_body_from_camera(values),
        pose_timeout_s=values["pose_timeout_s"],
        motion_limits=MotionLimits(
            max_gap_s=values["pose_max_gap_s"],
            max_turn_rate_rad_s=math.radians(values["pose_max_turn_rate_deg_s"]),
            max_speed_m_s=values["pose_max_speed_m_s"],
        ),
        range_type=values["range_type"],
        range_max_age_s=values["range_max_age_s"],
        max_range_m=values["max_range_m"],
        max_gsd_mm_per_px=values["max_gsd_mm_per_px"] or math.inf,
        max_crack_width_mm=values["max_crack_width_mm"] or math.inf,
        depth_unit_m=values["depth_unit_m"],
        range_relative_sigma=values["range_relative_sigma"],
        range_floor_sigma_m=values["range_floor_sigma_m"],
        depth_relative_sigma=values["depth_relative_sigma"],
        map_planes=map_planes,
        standoff_m=values["standoff_m"] or None,
        standoff_relative_sigma=values["standoff_relative_sigma"],
        surface=values["surface"],
        surface_normal_sigma_rad=math.radians(values["surface_normal_sigma_deg"]),
        learn_surface=values["learn_surface"],
        noise=NoiseModel(
            pixel_px=values["noise.pixel_px"],
            attitude_rad=math.radians(values["noise.attitude_deg"]),
            position_m=values["noise.position_m"],
            time_s=values["noise.time_s"],
        ),
        jpeg_quality=values["jpeg_quality"],
        evidence=values["evidence"],
        evidence_quality=values["evidence_quality"],
        evidence_max_bytes_s=1000.0 * values["evidence_max_kb_s"],
        collect_tiles=values["collect_tiles"],
        collect_tiles_folder=values["collect_tiles_folder"],
        diagnostics_period_s=values["diagnostics_period_s"],
        no_image_warning_s=values["no_image_warning_s"],
    )


TABLE: ParameterTable[Settings] = ParameterTable(SPECS, _settings_of)
declare, values_of, report_ineffective = TABLE.declare, TABLE.values_of, TABLE.report_ineffective
settings_from, settings_after, check_alone = TABLE.settings_from, TABLE.settings_after, TABLE.check_alone
