# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests that the interface packages have the published RIHS01 type hashes, which imply the same serialisation."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path

import pytest
from patience import PATIENCE_S

PUBLISHED_HASHES = {
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket": "648d84e0d33cbf76daf54b094d8f06154b8a24800a19c14371754df799fbaf79",
    "foxglove_msgs/msg/CompressedVideo": "32039eafc3770e589c86c4dabff9c392ce9955ebffd43f5f60763011d43d8d1d",
    "geographic_msgs/msg/GeoPath": "da06a03e5d5f28200cf0dc031155a9ceaf644e8615c4dcd1f04d689f86c064e3",
    "geographic_msgs/msg/GeoPoint": "602c647cf87bbe95a0231b459b5ac30051875d07c0c740b31ad7a8c4662b971e",
    "geographic_msgs/msg/GeoPose": "8052786d7663e225e38926f7d05716046c931572c25e557d4f70dca55b972626",
    "geographic_msgs/msg/GeoPoseStamped": "a8e603c050fa992a74283bb462a96fe9d2b151b7a67b14d77250ed7cb4ed96b7",
    "map_msgs/srv/GetPointMapROI": "c854569c8db605132dc382a4c1c33cd8235be5078317c442bf58168e3eb5841c",
    "px4_msgs/msg/GimbalDeviceAttitudeStatus": "3a57507951e55388c7d48bbce2cc644f824a135a57b38e2d6750b0e63101197b",
    "px4_msgs/msg/VehicleOdometry": "4295b96ad312084aa35c84bdcec65ba2f57eb4f6a293d57d52d95acbe99ff817",
    "tf2_msgs/action/LookupTransform": "0b8adf6bc0b5958879e3265b41a457e03558fe523890a81252c70eba97a82c5d",
    "tf2_msgs/msg/TF2Error": "db2485e7d6a0ec75bf087e058ee45df682acc3a621ca7780503d10aac141809a",
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "tf2_msgs/srv/FrameGraph": "0d1fbc6222c018ba5f33822904a2fdd4063705289956d3fdde07cd8c50fe8067",
    "vision_msgs/msg/BoundingBox2D": "008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f",
    "vision_msgs/msg/BoundingBox2DArray": "2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691",
    "vision_msgs/msg/BoundingBox3D": "bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698",
    "vision_msgs/msg/BoundingBox3DArray": "a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6",
    "vision_msgs/msg/Classification": "f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143",
    "vision_msgs/msg/Detection2D": "0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "vision_msgs/msg/Detection2DArray": "214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "vision_msgs/msg/Detection3D": "ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b",
    "vision_msgs/msg/Detection3DArray": "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "vision_msgs/msg/LabelInfo": "3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "vision_msgs/msg/ObjectHypothesis": "51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90",
    "vision_msgs/msg/ObjectHypothesisWithPose": "41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc",
    "vision_msgs/msg/Point2D": "eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247",
    "vision_msgs/msg/Pose2D": "b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648",
    "vision_msgs/msg/VisionClass": "1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a",
    "vision_msgs/msg/VisionInfo": "95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284",
}
"""Hashes of map_msgs 2.4.0, vision_msgs 4.1.1, geometry2's tf2_msgs, px4_msgs 1.16 to 1.18, geographic_msgs 1.0,
ffmpeg_image_transport_msgs and foxglove_msgs, by rosidl from the published definitions."""

HASH_PREFIX = "RIHS01_"


def built_hash(type_name: str) -> str:
    """Return the installed type hash of ``package/kind/Name``."""
    package = pytest.importorskip(type_name.split("/")[0], reason="no ROS 2 environment: run scripts/setup")
    prefix = Path(package.__file__).resolve().parents[4]
    description = (prefix / "share" / type_name).with_suffix(".json")
    if not description.exists():
        pytest.skip("this ROS 2 has no type hashes (they came with Iron)")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(description.read_text())["type_hashes"]}
    return hashes[type_name]


@pytest.mark.parametrize("type_name", sorted(PUBLISHED_HASHES))
def test_built_interface_has_the_published_type_hash(type_name: str) -> None:
    assert built_hash(type_name) == HASH_PREFIX + PUBLISHED_HASHES[type_name]


@pytest.mark.parametrize("type_name", sorted(PUBLISHED_HASHES))
def test_built_interface_importable(type_name: str) -> None:
    package, kind, name = type_name.split("/")
    pytest.importorskip(package, reason="no ROS 2 environment: run scripts/setup")
    assert hasattr(importlib.import_module(f"{package}.{kind}"), name)


@pytest.mark.parametrize("type_name", ["tf2_msgs/msg/TFMessage", "vision_msgs/msg/Detection3DArray"])
def test_endpoint_announces_the_published_type_hash(type_name: str) -> None:
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")
    package, kind, name = type_name.split("/")
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("test_interfaces", context=context)
    try:
        node.create_publisher(getattr(importlib.import_module(f"{package}.{kind}"), name), "~/announced", 1)
        deadline_s = time.monotonic() + PATIENCE_S
        endpoints = []
        while not endpoints and time.monotonic() < deadline_s:
            endpoints = node.get_publishers_info_by_topic("/test_interfaces/announced")
            time.sleep(0.02)
        assert len(endpoints) == 1
        if not hasattr(endpoints[0], "topic_type_hash"):
            pytest.skip("this ROS 2 announces no type hashes (they came with Iron)")
        assert str(endpoints[0].topic_type_hash).endswith(PUBLISHED_HASHES[type_name])
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
