# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Definitions of recorded messages that belong to no standard package: PX4's odometry and video packets.

They are the current ones of px4_msgs (PX4 1.14 and newer), ffmpeg_image_transport_msgs and foxglove_msgs. Older bags do
not hold the definitions of their messages.
"""

from __future__ import annotations

from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

VEHICLE_ODOMETRY = "px4_msgs/msg/VehicleOdometry"
GIMBAL_ATTITUDE = "px4_msgs/msg/GimbalDeviceAttitudeStatus"
FFMPEG_PACKET = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
COMPRESSED_VIDEO = "foxglove_msgs/msg/CompressedVideo"

VIDEO_TYPES = (FFMPEG_PACKET, COMPRESSED_VIDEO)

DEFINITIONS = {
    VEHICLE_ODOMETRY: """
uint64 timestamp
uint64 timestamp_sample
uint8 pose_frame
float32[3] position
float32[4] q
uint8 velocity_frame
float32[3] velocity
float32[3] angular_velocity
float32[3] position_variance
float32[3] orientation_variance
float32[3] velocity_variance
uint8 reset_counter
int8 quality
""",
    FFMPEG_PACKET: """
std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data
""",
    COMPRESSED_VIDEO: """
builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
""",
}
"""Type -> its fields. Every video packet begins with the stamp and frame of its picture, as std_msgs/Header does."""


def register(store: Typestore) -> None:
    """Add the definitions to those of a distribution."""
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
