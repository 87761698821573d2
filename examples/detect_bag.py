# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detect cracks in the images of a recording (rosbag2 or ROS 1 bag), without ROS. Needs the package rosbags.

python examples/detect_bag.py flight /camera/image_raw
"""

import sys
from pathlib import Path

import cv2
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from crack_perception import CrackDetector

path, topic = Path(sys.argv[1]), sys.argv[2]
detector = CrackDetector("nano")

with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as bag:
    connections = [connection for connection in bag.connections if connection.topic == topic]
    if not connections:
        sys.exit(f"{path} has no topic {topic}, only {', '.join(sorted(bag.topics))}")
    for connection, stamp_ns, data in bag.messages(connections):
        message = bag.deserialize(data, connection.msgtype)
        if connection.msgtype.endswith("CompressedImage"):
            image = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
        else:  # bgr8 or rgb8; rows may be padded
            rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
            image = rows.reshape(message.height, message.width, 3)
            if message.encoding == "rgb8":
                image = image[..., ::-1]
        cracks = detector(image)
        print(f"{stamp_ns / 1e9:.3f} s: {len(cracks)} cracks, scores {cracks.scores.round(2).tolist()}")
