# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Three small photographs with known poses and a known camera, for the readers of poses."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose

WIDTH, HEIGHT = 64, 48
K = [[70.0, 0.0, 30.9], [0.0, 70.0, 24.2], [0.0, 0.0, 1.0]]
CAMERA = CameraModel.of(WIDTH, HEIGHT, K, [-0.11, 0.02, 0.001, -0.0015, 0.003], "plumb_bob")
START_NS = 1_700_000_000_000_000_000
ANGLES_DEG = {"DJI_0001.JPG": (70.0, 3.0), "DJI_0002.JPG": (-110.0, -20.0), "DJI_0003.JPG": (12.0, 45.0)}
"""Yaw from north and pitch from the horizon of each; the roll is 0."""


def looking(yaw_deg: float, pitch_deg: float, position_m: tuple[float, float, float]) -> Pose:
    """Return a level camera, its yaw from north (y), by matrices only."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    matrix = np.column_stack([right, np.cross(forward, right), forward])
    return Pose.of(position_m, rotations.from_matrix(matrix))


_PLACES_M = [(1.0, 2.0, 3.0), (1.5, 2.2, 3.1), (-4.0, 0.3, 12.0)]
POSES = {name: looking(*angles, place_m) for (name, angles), place_m in zip(ANGLES_DEG.items(), _PLACES_M, strict=True)}


def picture() -> bytes:
    """Return a JPEG of the size of the camera without tags."""
    noise = np.random.default_rng(0).integers(120, 200, (HEIGHT, WIDTH, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def write_pictures(folder: Path) -> Path:
    """Write the photographs without any tags."""
    folder.mkdir()
    for name in POSES:
        (folder / name).write_bytes(picture())
    return folder


def with_xmp(jpeg: bytes, body: str) -> bytes:
    """Return a JPEG with an XMP packet in front of its other segments.

    Args:
        jpeg: The picture.
        body: Attributes and children of the description, with its closing tag.
    """
    spaces = " ".join(
        f'xmlns:{each}="http://example.invalid/{each}/"' for each in ("drone-dji", "drone", "drone-parrot")
    )
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces} xmlns:drone-skydio="http://example.invalid/skydio/" {body}'
        "</rdf:RDF></x:xmpmeta>"
    )
    segment = b"http://ns.adobe.com/xap/1.0/\x00" + packet.encode()
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
