# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Declarations of crack_node's parameters: name, default, description, range and choices of each."""

from __future__ import annotations

from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.geometry.surface.plane import SURFACE_ASSUMPTIONS, SURFACE_VERTICAL
from crack_perception.recognition.backends.selection import BACKENDS
from crack_perception.recognition.reading_scale import TILE_GSD_MM
from crack_perception.ros.common.bond import BOND_SPEC
from crack_perception.ros.common.parameter_table import ParameterSpec
from crack_perception.ros.common.severity_parameters import SEVERITY_SPECS

POSE_SOURCES = ("auto", "tf", "pose", "odom", "none")
CONVENTION_ROS = "ros"
CONVENTION_PX4 = "px4"
POSE_CONVENTIONS = (CONVENTION_ROS, CONVENTION_PX4)
TYPE_POSE_WITH_COVARIANCE = "PoseWithCovarianceStamped"
POSE_TYPES = ("PoseStamped", TYPE_POSE_WITH_COVARIANCE)
TYPE_VEHICLE_ODOMETRY = "VehicleOdometry"
ODOM_TYPES = ("Odometry", TYPE_VEHICLE_ODOMETRY)
POSE_OF_BODY, POSE_OF_CAMERA, POSE_OF_OPTICAL = "body", "camera", "optical"
POSES_OF = (POSE_OF_BODY, POSE_OF_CAMERA, POSE_OF_OPTICAL)
TRANSPORTS = ("raw", "compressed", "ffmpeg", "foxglove")
TYPE_LASER_SCAN = "LaserScan"
RANGE_TYPES = ("Range", TYPE_LASER_SCAN)
BRIDGES = ("own", "cv_bridge")

SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec("autostart", False, "Configure and activate by itself at start, without a lifecycle manager"),
    BOND_SPEC,
    ParameterSpec(
        "model",
        "standard",
        "Name of a shipped model, or a folder with card.json; auto: the best shipped one with expected_rate_hz",
    ),
    ParameterSpec("expected_rate_hz", 10.0, "Image rate that model: auto has to sustain [Hz]", 0.1, 240.0),
    ParameterSpec("expected_width_px", 1920, "Width of the images for model: auto [px]", 64, 16384),
    ParameterSpec("expected_height_px", 1080, "Height of the images for model: auto [px]", 64, 16384),
    ParameterSpec(
        "backend",
        "auto",
        "Inference backend; auto: the fastest installed one with the same scores",
        choices=BACKENDS,
    ),
    ParameterSpec(
        "inference_threads",
        0,
        "Threads of the backend; 0: the available cores but at most two, or one where that is measured to be faster",
        0,
        64,
    ),
    ParameterSpec("tile_overlap", 0.0, "Least overlap of neighbouring tiles, as a share of a tile", 0.0, 0.9),
    ParameterSpec(
        "tile_gsd_mm",
        TILE_GSD_MM,
        "Ground sampling distance of tiles [mm/px]: finer frames are reduced towards it where range is known; 0: never",
        0.0,
        100.0,
        live=True,
    ),
    ParameterSpec(
        "second_look",
        True,
        "Score tiles near the threshold again, mirrored, and average; at most 15 % more tiles where no crack is seen",
        live=True,
    ),
    ParameterSpec(
        "frame_budget_ms",
        200.0,
        "Time limit of a frame [ms]; after it, tiles are skipped if the next frame waits; 0: process all tiles",
        0.0,
        60000.0,
        live=True,
    ),
    ParameterSpec(
        "hover_rate_hz",
        0.0,
        "Frame rate while pose and range show that the camera hovers [Hz]; 0: process all frames",
        0.0,
        30.0,
        live=True,
    ),
    ParameterSpec(
        "threshold",
        0.0,
        "Crack score from which a tile counts as cracked; 0: the model's own threshold",
        0.0,
        1.0,
        live=True,
    ),
    ParameterSpec(
        "image_transport",
        "raw",
        "Type of the image topic: Image, CompressedImage, or video: FFMPEGPacket (ffmpeg), CompressedVideo (foxglove)",
        choices=TRANSPORTS,
    ),
    ParameterSpec(
        "image_bridge", "own", "Converter of raw images: own (built-in), or cv_bridge if installed", choices=BRIDGES
    ),
    ParameterSpec(
        "image_is_rectified",
        False,
        "The images are rectified (image_rect): use the matrix P of camera_info and no distortion, instead of K and D",
    ),
    ParameterSpec(
        "image_bits",
        0,
        "Bits that the camera stores in 16-bit samples: 8, 10, 12, 14 or 16; 0: estimated from the brightest sample",
        0,
        16,
    ),
    ParameterSpec(
        "image_is_visible_light",
        False,
        "The camera is none of temperatures, although its frame, topic or samples look like those of a thermal camera",
    ),
    *SEVERITY_SPECS,
    ParameterSpec(
        "measure_lines",
        True,
        "Measure centreline, length and width of cracks inside detected regions; false: boxes and the model's width",
        live=True,
    ),
    ParameterSpec(
        "measure_time_ms",
        15.0,
        "Measurement budget of a frame [ms]; regions beyond it are measured in the next frame; 0: no limit",
        0.0,
        10000.0,
        live=True,
    ),
    ParameterSpec(
        "resolvable_width_px",
        1.0,
        "Finest crack width that the camera resolves [px]; thinner cracks get a class only if all such widths share it",
        0.0,
        100.0,
        live=True,
    ),
    ParameterSpec(
        "map_frame",
        "map",
        "Frame of detections_3d, markers and of the poses that are accepted (ENU axes, origin within 10 km)",
    ),
    ParameterSpec(
        "pose_source",
        "auto",
        "Source of the camera's pose; auto takes tf where it connects map and camera, else pose, else odom",
        choices=POSE_SOURCES,
    ),
    ParameterSpec("camera_frame", "", "Frame of the camera's optical axes in tf; empty: the image's frame_id"),
    ParameterSpec("pose_type", POSE_TYPES[0], "Message type of the pose topic (geometry_msgs)", choices=POSE_TYPES),
    ParameterSpec(
        "odom_type",
        ODOM_TYPES[0],
        "Message type of the odom topic: nav_msgs/Odometry or px4_msgs/VehicleOdometry (always NED and FRD)",
        choices=ODOM_TYPES,
    ),
    ParameterSpec(
        "pose_of",
        POSE_OF_BODY,
        "Frame that pose and odom locate: body (camera_extrinsic applies), camera (x ahead, z up) or optical",
        choices=POSES_OF,
    ),
    ParameterSpec(
        "pose_convention",
        CONVENTION_ROS,
        "Axes of the pose and odom topics: ros is ENU map and FLU body, px4 is NED map and FRD body (not used with tf)",
        choices=POSE_CONVENTIONS,
    ),
    ParameterSpec(
        "use_pose_covariance", True, "Use the covariance that pose or odom carry instead of noise.* where they do"
    ),
    ParameterSpec(
        "camera_extrinsic.translation",
        [0.0, 0.0, 0.0],
        "Position of the optical frame in the FLU body frame [m]; used with pose_of body, not with tf",
        length=3,
    ),
    ParameterSpec(
        "camera_extrinsic.rotation",
        list(FORWARD_LOOKING_OPTICAL),
        "Rotation of the optical frame as a quaternion x, y, z, w; the default is a camera that points along x",
        length=4,
    ),
    ParameterSpec(
        "pose_timeout_s",
        0.1,
        "Longest wait for the pose of an image, all sources together [s]; a source that has stopped is not waited for",
        0.0,
        5.0,
        live=True,
    ),
    ParameterSpec(
        "pose_max_gap_s", 0.2, "Widest gap between two poses, in tf on every edge, that is interpolated [s]", 0.001, 5.0
    ),
    ParameterSpec(
        "pose_max_turn_rate_deg_s",
        360.0,
        "Fastest turn between two poses that is interpolated [deg/s]; a faster one is a gimbal flip",
        1.0,
        36000.0,
    ),
    ParameterSpec(
        "pose_max_speed_m_s",
        50.0,
        "Fastest motion between two poses that is interpolated [m/s]; a faster one is a jump of the estimate",
        0.1,
        1000.0,
    ),
    ParameterSpec(
        "range_type",
        RANGE_TYPES[0],
        "Message type of the range topic (sensor_msgs); of a LaserScan the beam straight ahead is used",
        choices=RANGE_TYPES,
    ),
    ParameterSpec(
        "range_max_age_s",
        0.2,
        "Greatest difference between the stamps of an image and its range or depth [s]",
        0.001,
        5.0,
    ),
    ParameterSpec(
        "max_range_m",
        100.0,
        "Longest plausible range or depth [m]; a longer one (for example in millimetres) is reported and not used",
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
        "Unit of the depth image [m]; 0: that of the encoding (REP 118: 16UC1 0.001, 32FC1 1)",
        0.0,
        1.0,
    ),
    ParameterSpec(
        "range_relative_sigma",
        0.02,
        "Standard deviation of the rangefinder as a share of the range, unless the message has a variance",
        0.0,
        1.0,
    ),
    ParameterSpec("range_floor_sigma_m", 0.01, "Standard deviation of the rangefinder at range zero [m]", 0.0, 10.0),
    ParameterSpec(
        "depth_relative_sigma", 0.01, "Standard deviation of the depth image as a share of the depth", 0.0, 1.0
    ),
    ParameterSpec(
        "map_planes.equations",
        [0.0, 0.0, 0.0, 0.0],
        "Known planes, four numbers each: nx, ny, nz, d of n.p = d in the map, n towards the drone; zeros: none",
        live=True,
    ),
    ParameterSpec("map_planes.sigma_m", 0.05, "Standard deviation of their offset [m]", 0.0, 100.0, live=True),
    ParameterSpec(
        "map_planes.normal_sigma_deg", 1.0, "Standard deviation of their direction [deg]", 0.0, 45.0, live=True
    ),
    ParameterSpec(
        "standoff_m",
        0.0,
        "Assumed range where depth, rangefinder and map planes give none [m]; 0: none",
        0.0,
        1000.0,
        live=True,
    ),
    ParameterSpec(
        "standoff_relative_sigma", 0.2, "Standard deviation of the assumed range as a share of it", 0.0, 1.0, live=True
    ),
    ParameterSpec(
        "surface",
        SURFACE_VERTICAL,
        "Direction of the surface if only its distance is known: vertical wall, horizontal deck or soffit, facing",
        choices=SURFACE_ASSUMPTIONS,
        live=True,
    ),
    ParameterSpec("surface_normal_sigma_deg", 5.0, "Standard deviation of that direction [deg]", 0.0, 45.0, live=True),
    ParameterSpec(
        "learn_surface",
        True,
        "Estimate position and direction of the surface from past ranges, where depth and map planes give none",
        live=True,
    ),
    ParameterSpec("noise.pixel_px", 2.0, "Standard deviation of a region's centre [px]", 0.0, 1000.0, live=True),
    ParameterSpec(
        "noise.attitude_deg", 1.0, "Standard deviation of the camera's attitude, each axis [deg]", 0.0, 45.0, live=True
    ),
    ParameterSpec(
        "noise.position_m", 0.02, "Standard deviation of the camera's position, each axis [m]", 0.0, 1000.0, live=True
    ),
    ParameterSpec(
        "noise.time_s",
        0.005,
        "Standard deviation of the offset between image and pose stamps [s]",
        0.0,
        10.0,
        live=True,
    ),
    ParameterSpec("jpeg_quality", 80, "JPEG quality of annotated/compressed", 1, 100, live=True),
    ParameterSpec(
        "evidence",
        True,
        "Publish photographs of cracks, of frames that show them better than before, while somebody subscribes",
        live=True,
    ),
    ParameterSpec(
        "evidence_quality", 90, "JPEG quality of evidence; less where a photograph exceeds 480 kB", 1, 100, live=True
    ),
    ParameterSpec("evidence_max_kb_s", 1000.0, "Highest mean data rate of evidence [kB/s]", 1.0, 100000.0, live=True),
    ParameterSpec(
        "collect_tiles",
        0,
        "Number of uncertain tiles to keep on disk for labelling (crack_perception adapt), at most 256 MiB; 0: none",
        0,
        10000,
    ),
    ParameterSpec(
        "collect_tiles_folder",
        "",
        "Folder of the collected tiles; empty: crack_perception/tiles in ~/.ros (ROS_HOME)",
        start_only=True,
    ),
    ParameterSpec(
        "diagnostics_period_s",
        1.0,
        "Period of the diagnostics [s]; changes of their level are published at once",
        0.1,
        60.0,
    ),
    ParameterSpec(
        "no_image_warning_s", 3.0, "Time without images [s] after which the diagnostics report an error", 0.5, 3600.0
    ),
)
