"""The parameters of crack_node: one table that declares, checks and documents them, and the settings they make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crack_perception.errors import UserError
from crack_perception.geometry.map_planes import MapPlanes
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_buffer import MotionLimits
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface import SURFACE_ASSUMPTIONS, SURFACE_VERTICAL
from crack_perception.recognition.backends import BACKENDS
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.parameter_table import ParameterSpec, ParameterTable
from crack_perception.ros.severity_parameters import SEVERITY_SPECS, severity_scale

POSE_SOURCES = ("auto", "tf", "pose", "odom", "none")
CONVENTION_ROS = "ros"
CONVENTION_PX4 = "px4"
POSE_CONVENTIONS = (CONVENTION_ROS, CONVENTION_PX4)
TRANSPORTS = ("raw", "compressed")
BRIDGES = ("own", "cv_bridge")

SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec("autostart", False, "Configure and activate by itself at start, without a lifecycle manager"),
    ParameterSpec("model", "standard", "Name of a shipped model, or a folder with card.json"),
    ParameterSpec(
        "backend",
        "auto",
        "What runs the model; auto takes the fastest that is installed and computes the same",
        choices=BACKENDS,
    ),
    ParameterSpec(
        "inference_threads",
        0,
        "Threads of the backend; 0 takes the cores there are, at most two",
        0,
        64,
    ),
    ParameterSpec("tile_overlap", 0.0, "Least share of a tile that neighbours have in common", 0.0, 0.9),
    ParameterSpec(
        "frame_budget_ms",
        200.0,
        "After this time in a frame, if the next one waits, its other tiles are left to later frames; 0: look at all",
        0.0,
        60000.0,
        live=True,
    ),
    ParameterSpec(
        "hover_rate_hz",
        0.0,
        "Frames a second while the view stands still, by pose and range; then nothing is published in between; 0: all",
        0.0,
        30.0,
        live=True,
    ),
    ParameterSpec("threshold", 0.0, "Crack score that flags a tile; 0 takes the model's own", 0.0, 1.0, live=True),
    ParameterSpec("image_transport", "raw", "Type of the image topic: Image or CompressedImage", choices=TRANSPORTS),
    ParameterSpec(
        "image_bridge", "own", "Converter of raw images: the package's own, or cv_bridge if installed", choices=BRIDGES
    ),
    ParameterSpec(
        "image_is_rectified",
        False,
        "The images are rectified (image_rect): use the matrix P of camera_info and no distortion, instead of K and D",
    ),
    *SEVERITY_SPECS,
    ParameterSpec(
        "measure_lines",
        True,
        "Measure the crack lines inside cracked regions: length, width, course; else boxes and the model's width",
        live=True,
    ),
    ParameterSpec(
        "measure_time_ms",
        15.0,
        "After this time in a frame nothing further is measured; it is its turn in the next frame; 0: no limit",
        0.0,
        10000.0,
        live=True,
    ),
    ParameterSpec(
        "resolvable_width_px",
        1.0,
        "Cracks thinner than this many px look alike to the camera: no class unless all such widths are of one class",
        0.0,
        100.0,
        live=True,
    ),
    ParameterSpec("map_frame", "map", "Frame of detections_3d, markers and of the poses that are accepted"),
    ParameterSpec(
        "pose_source",
        "auto",
        "Where the camera's pose comes from; auto asks tf2 where it is installed, then the pose, then the odom topic",
        choices=POSE_SOURCES,
    ),
    ParameterSpec(
        "pose_convention",
        CONVENTION_ROS,
        "Axes of the pose and odom topics: ros is ENU map and FLU body, px4 is NED map and FRD body (not used with tf)",
        choices=POSE_CONVENTIONS,
    ),
    ParameterSpec(
        "use_pose_covariance", True, "Take the pose's spread from odom where it tells one, instead of from noise.*"
    ),
    ParameterSpec(
        "camera_extrinsic.translation",
        [0.0, 0.0, 0.0],
        "Optical frame in the FLU body frame that pose or odom tell of, in metres (not used with tf)",
        length=3,
    ),
    ParameterSpec(
        "camera_extrinsic.rotation",
        list(FORWARD_LOOKING_OPTICAL),
        "Its rotation as a quaternion x, y, z, w; the default is a camera that looks along x",
        length=4,
    ),
    ParameterSpec("pose_timeout_s", 0.1, "How long to wait for the pose that follows an image", 0.0, 5.0, live=True),
    ParameterSpec(
        "pose_max_gap_s", 0.2, "Widest gap between two poses that is interpolated (tf2 bridges any gap)", 0.001, 5.0
    ),
    ParameterSpec(
        "pose_max_turn_rate_deg_s",
        360.0,
        "Faster turns from one pose to the next are not interpolated (a gimbal that flips), in deg/s",
        1.0,
        36000.0,
    ),
    ParameterSpec(
        "pose_max_speed_m_s",
        50.0,
        "Faster moves from one pose to the next are not interpolated (an estimate that jumps), in m/s",
        0.1,
        1000.0,
    ),
    ParameterSpec("range_max_age_s", 0.2, "How far from the image's stamp a range or depth image may lie", 0.001, 5.0),
    ParameterSpec(
        "max_range_m",
        100.0,
        "Longest plausible range or depth [m]; a farther one is reported and not used (millimetres read as metres)",
        0.1,
        10000.0,
    ),
    ParameterSpec(
        "max_gsd_mm_per_px",
        30.0,
        "Coarsest plausible ground sampling distance [mm/px]; beyond it only 2D results are published; 0: no limit",
        0.0,
        10000.0,
        live=True,
    ),
    ParameterSpec(
        "max_crack_width_mm",
        300.0,
        "Widest plausible crack [mm]; regions measured as wider stay 2D without width and severity; 0: no limit",
        0.0,
        100000.0,
        live=True,
    ),
    ParameterSpec(
        "depth_unit_m",
        0.0,
        "Metres of one unit of the depth image; 0 takes the encoding's (REP 118: 16UC1 0.001, 32FC1 1)",
        0.0,
        1.0,
    ),
    ParameterSpec("range_relative_sigma", 0.02, "Spread of the rangefinder as a share of the range", 0.0, 1.0),
    ParameterSpec("range_floor_sigma_m", 0.01, "Spread of the rangefinder at range zero, in m", 0.0, 10.0),
    ParameterSpec("depth_relative_sigma", 0.01, "Spread of the depth image as a share of the depth", 0.0, 1.0),
    ParameterSpec(
        "map_planes.equations",
        [0.0, 0.0, 0.0, 0.0],
        "Known surfaces, four numbers each: nx, ny, nz, d of n.p = d in the map, n towards the drone; zeros: none",
        live=True,
    ),
    ParameterSpec("map_planes.sigma_m", 0.05, "Spread of their place along the normal, in m", 0.0, 100.0, live=True),
    ParameterSpec("map_planes.normal_sigma_deg", 1.0, "Spread of their direction in degrees", 0.0, 45.0, live=True),
    ParameterSpec("standoff_m", 0.0, "Range to assume without any of these, in m; 0: none", 0.0, 1000.0, live=True),
    ParameterSpec("standoff_relative_sigma", 0.2, "Spread of the assumed range as a share of it", 0.0, 1.0, live=True),
    ParameterSpec(
        "surface",
        SURFACE_VERTICAL,
        "Direction of the surface if only its distance is known: a wall ahead, a deck or soffit, square to the axis",
        choices=SURFACE_ASSUMPTIONS,
        live=True,
    ),
    ParameterSpec("surface_normal_sigma_deg", 5.0, "Spread of that direction in degrees", 0.0, 45.0, live=True),
    ParameterSpec(
        "learn_surface",
        True,
        "Learn in flight, from the ranges so far, where a surface is and its direction, if nothing else tells",
        live=True,
    ),
    ParameterSpec("noise.pixel_px", 2.0, "Spread of a region's centre in px", 0.0, 1000.0, live=True),
    ParameterSpec(
        "noise.attitude_deg", 1.0, "Spread of the camera's attitude in degrees, each axis", 0.0, 45.0, live=True
    ),
    ParameterSpec("noise.position_m", 0.02, "Spread of the camera's position in m, each axis", 0.0, 1000.0, live=True),
    ParameterSpec(
        "noise.time_s", 0.005, "Spread of the offset between image and pose stamps in s", 0.0, 10.0, live=True
    ),
    ParameterSpec("jpeg_quality", 80, "Quality of annotated/compressed", 1, 100, live=True),
    ParameterSpec("diagnostics_period_s", 1.0, "Time between two diagnostics", 0.1, 60.0),
    ParameterSpec("no_image_warning_s", 3.0, "Silence after which a warning says why no image comes", 0.5, 3600.0),
)


@dataclass(frozen=True)
class Settings:
    """All parameters of the node, checked and in the units of the core."""

    model: str
    backend: str
    inference_threads: int
    tile_overlap: float
    frame_budget_s: float
    hover_rate_hz: float
    threshold: float | None
    image_transport: str
    image_bridge: str
    image_is_rectified: bool
    severity: SeverityScale
    measure_lines: bool
    measure_time_s: float
    resolvable_width_px: float
    map_frame: str
    pose_source: str
    pose_convention: str
    use_pose_covariance: bool
    body_from_camera: Pose
    pose_timeout_s: float
    motion_limits: MotionLimits
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
    diagnostics_period_s: float
    no_image_warning_s: float


def _settings_of(values: Mapping[str, Any]) -> Settings:
    try:
        extrinsic = Pose.of(values["camera_extrinsic.translation"], values["camera_extrinsic.rotation"])
    except ValueError as error:
        raise UserError(f"camera_extrinsic: {error}") from error
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
    if not values["map_frame"]:
        raise UserError("map_frame must name a frame")
    return Settings(
        model=values["model"],
        backend=values["backend"],
        inference_threads=values["inference_threads"],
        tile_overlap=values["tile_overlap"],
        frame_budget_s=values["frame_budget_ms"] / 1000.0,
        hover_rate_hz=values["hover_rate_hz"],
        threshold=values["threshold"] or None,
        image_transport=values["image_transport"],
        image_bridge=values["image_bridge"],
        image_is_rectified=values["image_is_rectified"],
        severity=severity_scale(values),
        measure_lines=values["measure_lines"],
        measure_time_s=values["measure_time_ms"] / 1000.0,
        resolvable_width_px=values["resolvable_width_px"],
        map_frame=values["map_frame"],
        pose_source=values["pose_source"],
        pose_convention=values["pose_convention"],
        use_pose_covariance=values["use_pose_covariance"],
        body_from_camera=extrinsic,
        pose_timeout_s=values["pose_timeout_s"],
        motion_limits=MotionLimits(
            max_gap_s=values["pose_max_gap_s"],
            max_turn_rate_rad_s=math.radians(values["pose_max_turn_rate_deg_s"]),
            max_speed_m_s=values["pose_max_speed_m_s"],
        ),
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
        diagnostics_period_s=values["diagnostics_period_s"],
        no_image_warning_s=values["no_image_warning_s"],
    )


TABLE: ParameterTable[Settings] = ParameterTable(SPECS, _settings_of)
declare, values_of, report_ineffective = TABLE.declare, TABLE.values_of, TABLE.report_ineffective
settings_from, settings_after, check_alone = TABLE.settings_from, TABLE.settings_after, TABLE.check_alone
