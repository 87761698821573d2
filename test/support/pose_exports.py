# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses and cameras as other programs export them, written from known ones after the programs' documentation."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.earth import earth_centred

Poses = Mapping[str, Pose]


def brown(camera: CameraModel) -> list[float]:
    """Return k1, k2, p1, p2, k3."""
    return [*camera.d.tolist(), 0.0, 0.0, 0.0, 0.0, 0.0][:5]


def write_csv(path: Path, poses: Poses, camera: CameraModel) -> Path:
    k1, k2, p1, p2, k3 = brown(camera)
    lines = ["file,x,y,z,qx,qy,qz,qw,fx,fy,cx,cy,k1,k2,p1,p2,k3,width,height"]
    lens = [camera.k[0, 0], camera.k[1, 1], camera.k[0, 2], camera.k[1, 2], k1, k2, p1, p2, k3]
    for name, pose in poses.items():
        numbers = [*pose.position_m, *pose.quaternion, *lens]
        lines.append(",".join([name, *(f"{n:.12g}" for n in numbers), str(camera.width_px), str(camera.height_px)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def _colmap(poses: Poses, camera: CameraModel) -> tuple[list[float], list[tuple[str, list[float]]]]:
    """Return the parameters of FULL_OPENCV, and name, quaternion (w first) and translation of every image."""
    k1, k2, p1, p2, k3 = brown(camera)
    k = camera.k
    parameters = [k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0]
    rows = []
    for name, pose in poses.items():
        inverse = pose.inverse()
        x, y, z, w = inverse.quaternion
        rows.append((name, [w, x, y, z, *inverse.position_m]))
    return parameters, rows


def write_colmap_text(folder: Path, poses: Poses, camera: CameraModel) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    parameters, rows = _colmap(poses, camera)
    size = f"{camera.width_px} {camera.height_px}"
    (folder / "cameras.txt").write_text(
        f"# Camera list\n1 FULL_OPENCV {size} {' '.join(f'{p:.12g}' for p in parameters)}\n"
    )
    lines = ["# Image list with two lines of data per image"]
    for number, (name, numbers) in enumerate(rows, 1):
        # Every other image has no points: its second line is empty.
        points = "" if number % 2 else "10.5 20.5 -1 30.5 40.5 7"
        lines += [f"{number} {' '.join(f'{n:.12g}' for n in numbers)} 1 {name}", points]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder / "images.txt"


def write_colmap_binary(folder: Path, poses: Poses, camera: CameraModel) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    parameters, rows = _colmap(poses, camera)
    header = struct.pack("<QiiQQ", 1, 1, 6, camera.width_px, camera.height_px)
    (folder / "cameras.bin").write_bytes(header + struct.pack("<12d", *parameters))
    data = struct.pack("<Q", len(rows))
    for number, (name, numbers) in enumerate(rows, 1):
        points = struct.pack("<ddq", 10.5, 20.5, -1) * (number % 3)
        data += struct.pack("<I7dI", number, *numbers, 1) + name.encode() + b"\0"
        data += struct.pack("<Q", number % 3) + points
    (folder / "images.bin").write_bytes(data)
    return folder / "images.bin"


def write_opendronemap(folder: Path, poses: Poses, camera: CameraModel, offset_m: np.ndarray, place: object) -> Path:
    """Write a project whose projected coordinates are those of the map plus an offset."""
    folder.mkdir(parents=True, exist_ok=True)
    k1, k2, p1, p2, k3 = brown(camera)
    longest = max(camera.width_px, camera.height_px)
    key = "dji sim 1280 720 brown 0.85 rgb"
    (folder / "cameras.json").write_text(
        json.dumps(
            {
                key: {
                    "projection_type": "brown",
                    "width": camera.width_px,
                    "height": camera.height_px,
                    "focal_x": camera.k[0, 0] / longest,
                    "focal_y": camera.k[1, 1] / longest,
                    "c_x": (camera.k[0, 2] - (camera.width_px - 1) / 2) / longest,
                    "c_y": (camera.k[1, 2] - (camera.height_px - 1) / 2) / longest,
                    "k1": k1,
                    "k2": k2,
                    "p1": p1,
                    "p2": p2,
                    "k3": k3,
                }
            }
        )
    )
    features = []
    for name, pose in poses.items():
        rotation = cv2.Rodrigues(pose.rotation.T)[0].ravel().tolist()
        shot = {
            "filename": name,
            "camera": key,
            "width": camera.width_px,
            "height": camera.height_px,
            "translation": (pose.position_m + offset_m).tolist(),
            "rotation": rotation,
        }
        coordinates = place.positions(pose.position_m[None])[0].tolist() if isinstance(place, GeographicOrigin) else []
        features.append(
            {"type": "Feature", "properties": shot, "geometry": {"type": "Point", "coordinates": coordinates}}
        )
    path = folder / "shots.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def write_metashape(
    path: Path, poses: Poses, camera: CameraModel, place: GeographicOrigin, has_component: bool = False
) -> Path:
    """Write a chunk of its own scale and direction, whose transform leads to earth-centred coordinates.

    Args:
        path, poses, camera, place: File, its contents, and the place of the map's origin.
        has_component: The transform is that of a component, as in newer versions.
    """
    k1, k2, p1, p2, k3 = brown(camera)
    width, height = camera.width_px, camera.height_px
    scale = 0.37
    # A chunk's frame that differs from the map by a scale, a turn and a shift.
    turn = Pose.of([0.4, -0.2, 0.9], [0.1, -0.3, 0.2, 0.9])
    axes, centre = _axes_on_earth(place)
    rotation = axes.T @ turn.rotation
    translation = axes.T @ turn.position_m + centre
    sensor = (
        f'<sensor id="0" label="sim" type="frame"><resolution width="{width}" height="{height}"/>'
        f'<calibration type="frame" class="adjusted"><resolution width="{width}" height="{height}"/>'
        f"<f>{camera.k[1, 1]:.12g}</f><b1>{camera.k[0, 0] - camera.k[1, 1]:.12g}</b1>"
        f"<cx>{camera.k[0, 2] - (width - 1) / 2:.12g}</cx><cy>{camera.k[1, 2] - (height - 1) / 2:.12g}</cy>"
        f"<k1>{k1}</k1><k2>{k2}</k2><k3>{k3}</k3><p1>{p2}</p1><p2>{p1}</p2></calibration></sensor>"
    )
    cameras = []
    for number, (name, pose) in enumerate(poses.items()):
        in_chunk = turn.inverse().compose(pose)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = in_chunk.rotation, in_chunk.position_m / scale
        cameras.append(
            f'<camera id="{number}" sensor_id="0" component_id="0" label="{Path(name).stem}" enabled="true">'
            f"<transform>{_text(matrix)}</transform><orientation>1</orientation></camera>"
        )
    cameras.append('<camera id="9999" sensor_id="0" label="unaligned" enabled="true"/>')
    transform = (
        f"<transform><rotation>{_text(rotation)}</rotation><translation>{_text(translation)}</translation>"
        f"<scale>{scale}</scale></transform>"
    )
    if has_component:
        transform = f'<components active_id="0"><component id="0">{transform}</component></components>'
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<document version="2.0.0"><chunk label="Chunk 1" enabled="true">'
        f'<sensors next_id="1">{sensor}</sensors>'
        f'<cameras next_id="1"><group id="0">{"".join(cameras)}</group></cameras>{transform}</chunk></document>'
    )
    return path


def write_context_capture(path: Path, poses: Poses, camera: CameraModel, angles: str = "matrix") -> Path:
    """Write a block in a local system; rotations as a matrix, as omega, phi, kappa, or as yaw, pitch, roll."""
    k1, k2, p1, p2, k3 = brown(camera)
    orientation = "XRightYUp" if angles == "omega" else "XRightYDown"
    photos = []
    for number, (name, pose) in enumerate(poses.items()):
        world_to_camera = pose.rotation.T
        if angles == "omega":
            # Axes right, up and backwards: M = Rx(omega) Ry(phi) Rz(kappa) takes them to the world.
            m = pose.rotation @ np.diag([1.0, -1.0, -1.0])
            turns = {
                "Omega": math.atan2(-m[1, 2], m[2, 2]),
                "Phi": math.asin(m[0, 2]),
                "Kappa": math.atan2(-m[0, 1], m[0, 0]),
            }
            rotation = "".join(f"<{key}>{math.degrees(turn):.12g}</{key}>" for key, turn in turns.items())
        elif angles == "yaw":
            # Level cameras only: yaw clockwise from y, pitch upwards.
            forward = pose.rotation[:, 2]
            yaw, pitch = math.atan2(forward[0], forward[1]), math.asin(forward[2])
            rotation = f"<Yaw>{math.degrees(yaw):.12g}</Yaw><Pitch>{math.degrees(pitch):.12g}</Pitch><Roll>0</Roll>"
        else:
            rotation = "".join(
                f"<M_{row}{column}>{world_to_camera[row, column]:.12g}</M_{row}{column}>"
                for row in range(3)
                for column in range(3)
            )
        centre = "".join(f"<{axis}>{value:.12g}</{axis}>" for axis, value in zip("xyz", pose.position_m, strict=True))
        photos.append(
            f"<Photo><Id>{number}</Id><ImagePath>D:\\survey\\images\\{name}</ImagePath>"
            f"<Pose><Rotation>{rotation}</Rotation><Center>{centre}</Center></Pose></Photo>"
        )
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?><BlocksExchange version="3.2"><SpatialReferenceSystems><SRS><Id>0</Id>'
        "<Name>local</Name><Definition>LOCAL_CS</Definition></SRS></SpatialReferenceSystems>"
        "<Block><SRSId>0</SRSId><Photogroups><Photogroup>"
        f"<ImageDimensions><Width>{camera.width_px}</Width><Height>{camera.height_px}</Height></ImageDimensions>"
        "<CameraModelType>Perspective</CameraModelType><SensorSize>17.3</SensorSize>"
        f"<FocalLength>{camera.k[0, 0] / camera.width_px * 17.3:.12g}</FocalLength>"
        f"<CameraOrientation>{orientation}</CameraOrientation>"
        f"<PrincipalPoint><x>{camera.k[0, 2]}</x><y>{camera.k[1, 2]}</y></PrincipalPoint>"
        f"<Distortion><K1>{k1}</K1><K2>{k2}</K2><K3>{k3}</K3><P1>{p2}</P1><P2>{p1}</P2></Distortion>"
        f"<AspectRatio>1</AspectRatio>{''.join(photos)}</Photogroup></Photogroups></Block></BlocksExchange>"
    )
    return path


def _axes_on_earth(place: GeographicOrigin) -> tuple[np.ndarray, np.ndarray]:
    """Return east, north and up at a place as rows in earth-centred axes, by differences, and its coordinates."""
    centre = earth_centred(place.latitude_deg, place.longitude_deg, place.altitude_m)
    step = 1e-5
    east = earth_centred(place.latitude_deg, place.longitude_deg + step, place.altitude_m) - centre
    north = earth_centred(place.latitude_deg + step, place.longitude_deg, place.altitude_m) - centre
    east, north = east / np.linalg.norm(east), north / np.linalg.norm(north)
    up = np.cross(east, north)
    north = np.cross(up / np.linalg.norm(up), east)
    return np.stack([east, north, up / np.linalg.norm(up)]), centre


def _text(values: np.ndarray) -> str:
    return " ".join(f"{value:.15g}" for value in np.asarray(values).ravel())
