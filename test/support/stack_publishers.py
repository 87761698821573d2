# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Publishers that speak like the drivers of flight stacks and cameras: their topics, types, encodings, frames and QoS.

All show one scene: the vehicle is at EAST, NORTH, UP in the map, heads north, and its camera looks at a wall with a
horizontal crack RANGE_M ahead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from flying_node import FOCAL_PX, HEIGHT_PX, WIDTH_PX, wall
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose

EAST_M, NORTH_M, UP_M = 1.0, 2.0, 3.0
RANGE_M = 2.0
CRACK_M = (EAST_M, NORTH_M + RANGE_M, UP_M)
BODY = Pose.of((EAST_M, NORTH_M, UP_M), rotations.from_euler(0.0, 0.0, np.pi / 2))

# PX4 opens its data writers like this (depth 0 is DDS's default of one).
PX4_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)

Publish = Callable[[int], None]
"""Publishes what belongs to a stamp [ns]."""


def time_of(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def header_of(stamp_ns: int, frame: str) -> Header:
    return Header(stamp=time_of(stamp_ns), frame_id=frame)


def camera_info(stamp_ns: int, frame: str, model: str = "plumb_bob", coefficients: int = 5) -> CameraInfo:
    k = [FOCAL_PX, 0.0, (WIDTH_PX - 1) / 2, 0.0, FOCAL_PX, (HEIGHT_PX - 1) / 2, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return CameraInfo(
        header=header_of(stamp_ns, frame),
        width=WIDTH_PX,
        height=HEIGHT_PX,
        distortion_model=model,
        d=[0.0] * coefficients,
        k=k,
        r=r,
        p=p,
    )


def _luma(frame: np.ndarray) -> np.ndarray:
    """Return the luma (H, W) in studio range of a grey frame."""
    return np.round(16 + frame[..., 0] * (219 / 255)).astype(np.uint8)


def _packed(frame: np.ndarray, luma_first: bool) -> np.ndarray:
    chroma = np.full((HEIGHT_PX, WIDTH_PX), 128, np.uint8)
    return np.dstack([_luma(frame), chroma] if luma_first else [chroma, _luma(frame)])


def _planar(frame: np.ndarray) -> np.ndarray:
    return np.vstack([_luma(frame), np.full((HEIGHT_PX // 2, WIDTH_PX), 128, np.uint8)])


ENCODED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rgb8": lambda frame: frame[..., ::-1],
    "bgr8": lambda frame: frame,
    "bgra8": lambda frame: np.dstack([frame, np.full((HEIGHT_PX, WIDTH_PX), 255, np.uint8)]),
    "yuv422_yuy2": lambda frame: _packed(frame, True),
    "yuv422": lambda frame: _packed(frame, False),
    "nv21": _planar,
    "nv12": _planar,
}


def image(stamp_ns: int, frame_id: str, encoding: str, padding: int = 0) -> Image:
    """Return the scene as an image; rows may be padded, as libcamera does."""
    pixels = np.ascontiguousarray(ENCODED[encoding](wall()))
    rows = pixels.reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    message = Image(header=header_of(stamp_ns, frame_id), height=HEIGHT_PX, width=WIDTH_PX, encoding=encoding)
    message.step = rows.shape[1]
    message.data.frombytes(rows.tobytes())
    return message


def depth_image(stamp_ns: int, frame_id: str, encoding: str) -> Image:
    dtype, value = (np.uint16, RANGE_M * 1000) if encoding == "16UC1" else (np.float32, RANGE_M)
    pixels = np.full((HEIGHT_PX, WIDTH_PX), value, dtype)
    message = Image(header=header_of(stamp_ns, frame_id), height=HEIGHT_PX, width=WIDTH_PX, encoding=encoding)
    message.step = WIDTH_PX * pixels.itemsize
    message.data.frombytes(pixels.tobytes())
    return message


def raw_camera(
    topic: str,
    info_topic: str,
    encoding: str,
    frame_id: str,
    profile: QoSProfile = RELIABLE,
    depth: tuple[str, str] | None = None,
    model: tuple[str, int] = ("plumb_bob", 5),
    padding: int = 0,
) -> Callable[[Node], Publish]:
    """Return a camera that publishes raw images, and depth (topic, encoding) if it has any."""

    def start(node: Node) -> Publish:
        images, infos = (
            node.create_publisher(Image, topic, profile),
            node.create_publisher(CameraInfo, info_topic, profile),
        )
        depths = node.create_publisher(Image, depth[0], profile) if depth else None

        def publish(stamp_ns: int) -> None:
            infos.publish(camera_info(stamp_ns, frame_id, *model))
            if depths is not None and depth:
                depths.publish(depth_image(stamp_ns, frame_id, depth[1]))
            images.publish(image(stamp_ns, frame_id, encoding, padding))

        return publish

    return start


def jpeg_camera(topic: str, info_topic: str, frame_id: str) -> Callable[[Node], Publish]:
    """Return a camera whose driver passes JPEGs on."""

    def start(node: Node) -> Publish:
        images = node.create_publisher(CompressedImage, topic, RELIABLE)
        infos = node.create_publisher(CameraInfo, info_topic, RELIABLE)
        jpeg = cv2.imencode(".jpg", wall())[1].tobytes()

        def publish(stamp_ns: int) -> None:
            infos.publish(camera_info(stamp_ns, frame_id))
            message = CompressedImage(header=header_of(stamp_ns, frame_id), format="jpeg")
            message.data.frombytes(jpeg)
            images.publish(message)

        return publish

    return start


class VideoEncoder:
    """Encode the scene as video without delay; every fifth picture is a keyframe."""

    def __init__(self, encoder: str = "libx264") -> None:
        import av

        self._context = av.CodecContext.create(encoder, "w")
        self._context.width, self._context.height, self._context.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        self._context.time_base = Fraction(1, 20)
        self._context.gop_size = 5
        self._context.options = {"tune": "zerolatency", "preset": "veryfast"}
        self._frame = av.VideoFrame.from_ndarray(wall(), format="bgr24").reformat(format="yuv420p")
        self._count = 0

    def packet(self) -> tuple[bytes, int, bool]:
        """Return the next packet, its number, and whether it is a keyframe."""
        self._frame.pts = self._count
        self._count += 1
        (packet,) = self._context.encode(self._frame)
        return bytes(packet), int(packet.pts), bool(packet.is_keyframe)


def ffmpeg_camera(topic: str, info_topic: str, frame_id: str) -> Callable[[Node], Publish]:
    """Return a camera whose images ffmpeg_image_transport sends as H.264 packets."""

    def start(node: Node) -> Publish:
        from ffmpeg_image_transport_msgs.msg import FFMPEGPacket

        packets, infos = (
            node.create_publisher(FFMPEGPacket, topic, RELIABLE),
            node.create_publisher(CameraInfo, info_topic, 10),
        )
        encoder = VideoEncoder()

        def publish(stamp_ns: int) -> None:
            infos.publish(camera_info(stamp_ns, frame_id))
            data, number, is_keyframe = encoder.packet()
            message = FFMPEGPacket(header=header_of(stamp_ns, frame_id), width=WIDTH_PX, height=HEIGHT_PX)
            message.encoding, message.pts, message.flags = "h264;yuv420p;bgr8;bgr8", number, int(is_keyframe)
            message.data.frombytes(data)
            packets.publish(message)

        return publish

    return start


def foxglove_camera(topic: str, info_topic: str, frame_id: str) -> Callable[[Node], Publish]:
    """Return a camera that sends H.264 as foxglove_msgs/CompressedVideo."""

    def start(node: Node) -> Publish:
        from foxglove_msgs.msg import CompressedVideo

        videos, infos = (
            node.create_publisher(CompressedVideo, topic, RELIABLE),
            node.create_publisher(CameraInfo, info_topic, 10),
        )
        encoder = VideoEncoder()

        def publish(stamp_ns: int) -> None:
            infos.publish(camera_info(stamp_ns, frame_id))
            message = CompressedVideo(timestamp=time_of(stamp_ns), frame_id=frame_id, format="h264")
            message.data.frombytes(encoder.packet()[0])
            videos.publish(message)

        return publish

    return start


def gazebo_camera(node: Node) -> Publish:
    """Camera of Gazebo through ros_gz_bridge; its frame is the link, whose axes are not the optical ones."""
    return raw_camera("/gazebo/image", "/gazebo/camera_info", "rgb8", "camera_link")(node)


CAMERAS: dict[str, Callable[[Node], Publish]] = {
    "realsense": raw_camera(
        "/camera/camera/color/image_raw",
        "/camera/camera/color/camera_info",
        "rgb8",
        "camera_color_optical_frame",
        depth=("/camera/camera/aligned_depth_to_color/image_raw", "16UC1"),
    ),
    "depthai": raw_camera(
        "/oak/rgb/image_raw",
        "/oak/rgb/camera_info",
        "bgr8",
        "oak_rgb_camera_optical_frame",
        depth=("/oak/stereo/image_raw", "16UC1"),
        model=("rational_polynomial", 8),
    ),
    "zed": raw_camera(
        "/zed/zed_node/rgb/color/rect/image",
        "/zed/zed_node/rgb/color/rect/camera_info",
        "bgra8",
        "zed_left_camera_frame_optical",
        depth=("/zed/zed_node/depth/depth_registered", "32FC1"),
    ),
    "v4l2_camera": raw_camera("/image_raw", "/camera_info", "yuv422_yuy2", "camera", qos_profile_sensor_data),
    "usb_cam": raw_camera("/image_raw", "/camera_info", "yuv422", "default_cam"),
    "usb_cam_mjpeg": jpeg_camera("/image_raw/compressed", "/camera_info", "default_cam"),
    "camera_ros": raw_camera("/camera/image_raw", "/camera/camera_info", "nv21", "camera", padding=64),
    "rtsp": raw_camera("/camera/image_raw", "/camera/camera_info", "rgb8", "camera"),
    "gazebo": gazebo_camera,
    "ffmpeg": ffmpeg_camera("/image_raw/ffmpeg", "/camera_info", "camera"),
    "foxglove": foxglove_camera("/camera/video", "/camera/camera_info", "camera"),
}
"""Profile of a camera -> its driver."""


def px4(node: Node, boot_ns: int = 0, with_gimbal: bool = False) -> Publish:
    """PX4 over uXRCE-DDS: NED, FRD, quaternion w first, microseconds since ``boot_ns``."""
    from px4_msgs.msg import GimbalDeviceAttitudeStatus, VehicleOdometry

    odometry = node.create_publisher(VehicleOdometry, "/fmu/out/vehicle_odometry", PX4_QOS)
    topic = "/fmu/out/gimbal_device_attitude_status"
    gimbal = node.create_publisher(GimbalDeviceAttitudeStatus, topic, PX4_QOS) if with_gimbal else None

    def publish(stamp_ns: int) -> None:
        stamp_us = (stamp_ns - boot_ns) // 1000
        message = VehicleOdometry(timestamp=stamp_us + 300, timestamp_sample=stamp_us, pose_frame=1, velocity_frame=1)
        message.position = np.array([NORTH_M, EAST_M, -UP_M], np.float32)
        # A vehicle on a gimbal's stack flies sideways: only the gimbal looks north.
        heading_rad = np.pi / 2 if with_gimbal else 0.0
        message.q = np.array([np.cos(heading_rad / 2), 0, 0, np.sin(heading_rad / 2)], np.float32)
        message.position_variance = np.full(3, 1e-4, np.float32)
        message.orientation_variance = np.full(3, 1e-4, np.float32)
        odometry.publish(message)
        if gimbal is not None:
            # Yaw counts from the vehicle's heading, east.
            yaw_rad = -np.pi / 2
            status = GimbalDeviceAttitudeStatus(timestamp=stamp_us, device_flags=32 | 4 | 8, gimbal_device_id=1)
            status.q = np.array([np.cos(yaw_rad / 2), 0, 0, np.sin(yaw_rad / 2)], np.float32)
            gimbal.publish(status)

    return publish


def mavros(node: Node) -> Publish:
    """MAVROS: ENU, FLU, sensor data QoS; LOCAL_POSITION_NED_COV gives three variances of the position only."""
    return _odometry(node, "/mavros/local_position/odom", "map", "base_link", qos_profile_sensor_data)


def gazebo(node: Node) -> Publish:
    """Odometry and the one-beam laser of Gazebo through ros_gz_bridge."""
    odometry = _odometry(node, "/gazebo/odometry", "odom", "base_footprint", RELIABLE)
    scans = node.create_publisher(LaserScan, "/gazebo/laser", RELIABLE)

    def publish(stamp_ns: int) -> None:
        odometry(stamp_ns)
        scan = LaserScan(header=header_of(stamp_ns, "x500_mono_cam_0/lidar_sensor_link/lidar"))
        scan.angle_min, scan.angle_max, scan.angle_increment = -0.1, 0.1, 0.1
        scan.range_min, scan.range_max, scan.ranges = 0.1, 50.0, [9.0, RANGE_M, 9.0]
        scans.publish(scan)

    return publish


def mavros_gimbal(node: Node) -> Publish:
    """MAVROS with tf.send of local_position and gimbal_control: gimbal in FRD below base_link_frd."""
    moving, static = _transform_publishers(node)
    # The vehicle heads east, the gimbal's yaw is 90 degrees to the left.
    body = Pose.of((EAST_M, NORTH_M, UP_M), (0.0, 0.0, 0.0, 1.0))
    gimbal = Pose.of((0.0, 0.0, 0.0), rotations.from_euler(0.0, 0.0, -np.pi / 2))
    fixed = [
        _transform(0, "base_link", "base_link_frd", Pose.of((0.0, 0.0, 0.0), rotations.FLU_FROM_FRD)),
        _transform(0, "gimbal_0", "gimbal_camera_optical_frame", _documented("mavros_gimbal")),
    ]
    static.publish(TFMessage(transforms=fixed))

    def publish(stamp_ns: int) -> None:
        moving.publish(TFMessage(transforms=[_transform(stamp_ns, "map", "base_link", body)]))
        moving.publish(TFMessage(transforms=[_transform(stamp_ns, "base_link_frd", "gimbal_0", gimbal)]))

    return publish


def gazebo_gimbal(node: Node) -> Publish:
    """Poses of Gazebo's links (PosePublisher, Pose_V) through ros_gz_bridge; the root is the world."""
    moving, static = _transform_publishers(node)
    fixed = _transform(0, "x500_gimbal_0/camera_link", "gimbal_camera_optical_frame", _documented("gazebo_gimbal"))
    static.publish(TFMessage(transforms=[fixed]))
    # The vehicle heads east, its gimbal north, and the camera hangs 0.1 m below the vehicle.
    model = Pose.of((EAST_M, NORTH_M, UP_M + 0.1), (0.0, 0.0, 0.0, 1.0))
    camera = Pose.of((0.0, 0.0, -0.1), rotations.from_euler(0.0, 0.0, np.pi / 2))
    # In PX4's model the sensor looks along -x of the link.
    sensor = Pose.of((-0.0412, 0.0, -0.162), rotations.from_euler(0.0, 0.0, np.pi))
    link = camera.compose(sensor.inverse())
    base = Pose.of((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))

    def publish(stamp_ns: int) -> None:
        links = (("base_link", base), ("camera_link", link))
        transforms = [_transform(stamp_ns, "default", "x500_gimbal_0", model)]
        transforms += [_transform(stamp_ns, "x500_gimbal_0", f"x500_gimbal_0/{name}", pose) for name, pose in links]
        moving.publish(TFMessage(transforms=transforms))

    return publish


def _documented(stack: str) -> Pose:
    """Return the static transform in the head of a profile."""
    head = (Path(__file__).resolve().parents[2] / "config" / "stacks" / f"{stack}.yaml").read_text(encoding="utf-8")
    given = {name: float(value) for name, value in re.findall(r"--(q?[xyzw]) (-?[\d.]+)", head)}
    return Pose.of(*([given.get(f"{kind}{axis}", 0.0) for axis in axes] for kind, axes in (("", "xyz"), ("q", "xyzw"))))


def _transform_publishers(node: Node) -> tuple[Any, Any]:
    """Return publishers of moving and of fixed transforms."""
    latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    moving = node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
    return moving, node.create_publisher(TFMessage, "/tf_static", latched)


def _transform(stamp_ns: int, parent: str, child: str, pose: Pose) -> TransformStamped:
    message = TransformStamped(header=header_of(stamp_ns, parent), child_frame_id=child)
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = pose.position_m.tolist()
    turn.x, turn.y, turn.z, turn.w = pose.quaternion.tolist()
    return message


def _odometry(node: Node, topic: str, frame: str, child: str, profile: QoSProfile) -> Publish:
    publisher = node.create_publisher(Odometry, topic, profile)

    def publish(stamp_ns: int) -> None:
        message = Odometry(header=header_of(stamp_ns, frame), child_frame_id=child)
        place, turn = message.pose.pose.position, message.pose.pose.orientation
        place.x, place.y, place.z = BODY.position_m.tolist()
        turn.x, turn.y, turn.z, turn.w = BODY.quaternion.tolist()
        for index in (0, 7, 14):
            message.pose.covariance[index] = 1e-4
        publisher.publish(message)

    return publish


STACKS: dict[str, Callable[[Node], Publish]] = {
    "px4": px4,
    # Its clock counts from a start an hour ago (UXRCE_DDS_SYNCT 0).
    "px4_gimbal": lambda node: px4(node, node.get_clock().now().nanoseconds - 3600 * 10**9, with_gimbal=True),
    "px4_mavros": mavros,
    "ardupilot_mavros": mavros,
    "mavros_gimbal": mavros_gimbal,
    "gazebo": gazebo,
    "gazebo_gimbal": gazebo_gimbal,
}
"""Profile of a stack -> what it publishes."""


def init_with(remappings: dict[str, str]) -> None:
    """Initialise ROS with remappings for all nodes that use the global arguments."""
    rclpy.try_shutdown()
    arguments = [word for name, topic in remappings.items() for word in ("-r", f"{name}:={topic}")]
    rclpy.init(args=["--ros-args", *arguments])
