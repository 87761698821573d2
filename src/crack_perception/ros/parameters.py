"""The parameters of crack_node: one table that declares, checks and documents them, and the settings they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from crack_perception.errors import UserError
from crack_perception.geometry.map_planes import MapPlanes
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_buffer import MotionLimits
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface import SURFACE_ASSUMPTIONS, SURFACE_VERTICAL
from crack_perception.recognition.backends import BACKENDS
from crack_perception.recognition.severity import PRESETS_MM, SeverityScale

POSE_SOURCES = ("auto", "tf", "pose", "odom", "none")
CONVENTION_ROS = "ros"
CONVENTION_PX4 = "px4"
POSE_CONVENTIONS = (CONVENTION_ROS, CONVENTION_PX4)
TRANSPORTS = ("raw", "compressed")
BRIDGES = ("own", "cv_bridge")

Value = bool | int | float | str | list[float]


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Attributes:
        name, default, description: As declared.
        lower, upper: Inclusive range of a number.
        choices: Allowed values of a text.
        length: Number of elements of an array; None for any.
        live: Takes effect at the next frame; the others are read when the node is configured and cannot be changed
            before it is cleaned up.
    """

    name: str
    default: Value
    description: str
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None
    live: bool = False

    def problem_with(self, value: Any) -> str:
        """Why this value cannot be taken; empty if it can."""
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, got '{value}'"
        if isinstance(self.default, list):
            if self.length is not None and len(value) != self.length:
                return f"{self.name} takes {self.length} numbers, got {len(value)}"
            if not all(math.isfinite(number) for number in value):
                return f"{self.name} must hold finite numbers"
        elif isinstance(self.default, float):
            if not math.isfinite(value):
                return f"{self.name} must be a finite number"
            if self.lower is not None and self.upper is not None and not self.lower <= value <= self.upper:
                return f"{self.name} must lie between {self.lower:g} and {self.upper:g}, got {value:g}"
        return ""

    def descriptor(self) -> ParameterDescriptor:
        """Type, range and description for the ROS graph."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = f"one of {', '.join(self.choices)}"
        if self.lower is not None and self.upper is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [FloatingPointRange(from_value=self.lower, to_value=self.upper)]
            else:
                descriptor.integer_range = [IntegerRange(from_value=int(self.lower), to_value=int(self.upper), step=1)]
        return descriptor


SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec("autostart", False, "Configure and activate by itself at start, without a lifecycle manager"),
    ParameterSpec("model", "standard", "Name of a shipped model, or a folder with card.json"),
    ParameterSpec("backend", "auto", "What runs the model", choices=BACKENDS),
    ParameterSpec("inference_threads", 0, "Threads of the backend; 0 takes the cores there are, at most two", 0, 64),
    ParameterSpec("tile_overlap", 0.0, "Least share of a tile that neighbours have in common", 0.0, 0.9),
    ParameterSpec("threshold", 0.0, "Crack score that flags a tile; 0 takes the model's own", 0.0, 1.0, live=True),
    ParameterSpec("image_transport", "raw", "Type of the image topic: Image or CompressedImage", choices=TRANSPORTS),
    ParameterSpec(
        "image_bridge", "own", "Converter of raw images: the package's own, or cv_bridge if installed", choices=BRIDGES
    ),
    ParameterSpec(
        "severity_preset", "gb50204", "Standard that gives the class edges", choices=tuple(PRESETS_MM), live=True
    ),
    ParameterSpec("severity_edges_mm", [0.0], "Own ascending class edges in mm; [0.0] takes the preset's", live=True),
    ParameterSpec(
        "severity_confidence", 0.9, "Probability that a class needs, else 'undetermined'", 0.5, 0.999, live=True
    ),
    ParameterSpec(
        "measure_lines",
        True,
        "Measure the crack lines inside cracked regions: length, width, course; else boxes and the model's width",
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
_BY_NAME = {spec.name: spec for spec in SPECS}


@dataclass(frozen=True)
class Settings:
    """All parameters of the node, checked and in the units of the core."""

    model: str
    backend: str
    inference_threads: int
    tile_overlap: float
    threshold: float | None
    image_transport: str
    image_bridge: str
    severity: SeverityScale
    measure_lines: bool
    resolvable_width_px: float
    map_frame: str
    pose_source: str
    pose_convention: str
    use_pose_covariance: bool
    body_from_camera: Pose
    pose_timeout_s: float
    motion_limits: MotionLimits
    range_max_age_s: float
    range_relative_sigma: float
    range_floor_sigma_m: float
    depth_relative_sigma: float
    map_planes: MapPlanes
    standoff_m: float | None
    standoff_relative_sigma: float
    surface: str
    surface_normal_sigma_rad: float
    noise: NoiseModel
    jpeg_quality: int
    diagnostics_period_s: float
    no_image_warning_s: float


def declare(node: Node) -> dict[str, str]:
    """Declare every parameter with type, range and description.

    Returns:
        For every parameter whose start value (command line, launch file, YAML) cannot be taken: why. It then holds its
        default.
    """
    refused = {}
    for spec in SPECS:
        try:
            node.declare_parameter(spec.name, spec.default, spec.descriptor())
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            refused[spec.name] = f"the start value of {spec.name} cannot be taken: {error}"
            node.declare_parameter(spec.name, spec.default, spec.descriptor(), ignore_override=True)
    return refused


def values_of(node: Node) -> dict[str, Any]:
    """The present values by name."""
    return {spec.name: node.get_parameter(spec.name).value for spec in SPECS}


def settings_after(node: Node, changes: Iterable[Parameter]) -> Settings:
    """The settings of a configured node after a change of parameters.

    Raises:
        UserError: The change cannot be taken, with a reason a person can act on.
    """
    values = values_of(node)
    for change in changes:
        spec = _BY_NAME.get(change.name)
        if spec is None:
            continue
        if not spec.live and change.value != values[change.name]:
            raise UserError(f"{change.name} is read when the node is configured", "Deactivate and clean it up first")
        values[change.name] = change.value
    return settings_from(values)


def check_alone(changes: Iterable[Parameter]) -> None:
    """Judge a change before the node is configured: by itself, so that several bad values can be mended one by one.

    Raises:
        UserError: As in ``settings_after``.
    """
    defaults = {spec.name: spec.default for spec in SPECS}
    settings_from(defaults | {change.name: change.value for change in changes if change.name in _BY_NAME})


def settings_from(values: Mapping[str, Any]) -> Settings:
    """The settings that a complete set of values makes.

    Raises:
        UserError: A value is out of its range or two values contradict each other.
    """
    for name, value in values.items():
        problem = _BY_NAME[name].problem_with(value)
        if problem:
            raise UserError(problem)
    edges = tuple(values["severity_edges_mm"])
    confidence = values["severity_confidence"]
    own_edges = edges and edges != (0.0,)
    scale = (
        SeverityScale(edges, confidence)
        if own_edges
        else SeverityScale.of_preset(values["severity_preset"], confidence)
    )
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
    if not values["map_frame"]:
        raise UserError("map_frame must name a frame")
    return Settings(
        model=values["model"],
        backend=values["backend"],
        inference_threads=values["inference_threads"],
        tile_overlap=values["tile_overlap"],
        threshold=values["threshold"] or None,
        image_transport=values["image_transport"],
        image_bridge=values["image_bridge"],
        severity=scale,
        measure_lines=values["measure_lines"],
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
        range_relative_sigma=values["range_relative_sigma"],
        range_floor_sigma_m=values["range_floor_sigma_m"],
        depth_relative_sigma=values["depth_relative_sigma"],
        map_planes=map_planes,
        standoff_m=values["standoff_m"] or None,
        standoff_relative_sigma=values["standoff_relative_sigma"],
        surface=values["surface"],
        surface_normal_sigma_rad=math.radians(values["surface_normal_sigma_deg"]),
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
