# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of tags as drones of several makers write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from posed_pictures import ANGLES_DEG, CAMERA, HEIGHT, POSES, START_NS, WIDTH, picture, with_xmp, write_pictures

from crack_perception.photographs.dji import TaggedPose, camera_in, pose_in
from crack_perception.photographs.found import FoundPicture
from crack_perception.photographs.recording import RecordingOptions, open_recording
from crack_perception.photographs.tags import PhotographTags, read_tags
from crack_perception.simulation.flight.photographs import PLACE, tags_of, with_tags

ORIGIN = RecordingOptions(origin=(PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m))


def autel(yaw: float, pitch: float, place: tuple[float, float, float]) -> str:
    longitude, latitude, height = place
    return (
        f'drone:GpsLatitude="{latitude:.9f}" drone:GpsLongtitude="{longitude:.9f}" '
        f'drone:AbsoluteAltitude="{height:+.3f}" drone:GimbalYawDegree="{yaw:+.2f}" '
        f'drone:GimbalPitchDegree="{pitch:+.2f}" drone:GimbalRollDegree="+0.00"/>'
    )


def skydio(yaw: float, pitch: float, place: tuple[float, float, float]) -> str:
    longitude, latitude, height = place
    return (
        f'drone-skydio:Latitude="{latitude:.9f}" drone-skydio:Longitude="{longitude:.9f}" '
        f'drone-skydio:AbsoluteAltitude="{height:.3f}"><drone-skydio:VehicleOrientationNED drone-skydio:Roll="3" '
        'drone-skydio:Pitch="4" drone-skydio:Yaw="5"/><drone-skydio:CameraOrientationNED drone-skydio:Roll="0.0" '
        f'drone-skydio:Pitch="{pitch}" drone-skydio:Yaw="{yaw}"/></rdf:Description>'
    )


def skydio_elements(yaw: float, pitch: float, place: tuple[float, float, float]) -> str:
    longitude, latitude, height = place
    angles = (("Roll", 0.0), ("Pitch", pitch), ("Yaw", yaw))
    inside = "\n".join(f"<drone-skydio:{name}>{value}</drone-skydio:{name}>" for name, value in angles)
    return (
        '><drone-skydio:CameraOrientationFLU rdf:parseType="Resource"><drone-skydio:Yaw>9</drone-skydio:Yaw>'
        "</drone-skydio:CameraOrientationFLU>"
        f"<drone-skydio:Latitude>{latitude:.9f}</drone-skydio:Latitude>"
        f"<drone-skydio:Longitude>{longitude:.9f}</drone-skydio:Longitude>"
        f"<drone-skydio:AbsoluteAltitude>{height:.3f}</drone-skydio:AbsoluteAltitude>"
        f'<drone-skydio:CameraOrientationNED rdf:parseType="Resource">{inside}</drone-skydio:CameraOrientationNED>'
        "</rdf:Description>"
    )


@pytest.mark.parametrize("maker", [autel, skydio, skydio_elements])
def test_xmp_of_other_makers_gives_poses(tmp_path: Path, maker: object) -> None:
    assert callable(maker)
    path = tmp_path / "photograph.jpg"
    for name, (yaw, pitch) in ANGLES_DEG.items():
        place = PLACE.positions(POSES[name].position_m[None])[0].tolist()
        path.write_bytes(with_xmp(picture(), maker(yaw, pitch, place)))
        pose = pose_in(read_tags(path))
        assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == (yaw, pitch, 0.0)
        found = (pose.longitude_deg, pose.latitude_deg, pose.absolute_m)
        assert found == pytest.approx(place, abs=1e-3)
        assert (pose.longitude_deg, pose.latitude_deg) == pytest.approx(place[:2], abs=1e-8)


def test_xmp_of_parrot_with_position_in_exif_gives_the_pose(tmp_path: Path) -> None:
    body = "".join(
        f"<drone-parrot:{thing}{axis}Degree>{value}</drone-parrot:{thing}{axis}Degree>"
        for thing, values in (("Drone", (1, 2, 3)), ("Camera", (-0.3, -78.4, 176.3)))
        for axis, value in zip(("Roll", "Pitch", "Yaw"), values, strict=True)
    )
    tags = tags_of(POSES["DJI_0001.JPG"], PLACE, CAMERA, START_NS, 0.01)
    jpeg = with_tags(picture(), tags)
    # Without the second segment, which is DJI's XMP.
    start = jpeg.index(b"\xff\xe1", 4)
    jpeg = jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big") :]
    path = tmp_path / "photograph.jpg"
    path.write_bytes(with_xmp(jpeg, f">{body}</rdf:Description>"))
    pose = pose_in(read_tags(path))
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == (176.3, -78.4, -0.3)
    assert pose.latitude_deg == pytest.approx(tags.latitude_deg, abs=1e-6)


def test_xmp_of_dji_takes_precedence_over_another_namespace(tmp_path: Path) -> None:
    values = "".join(
        f'{space}:GimbalYawDegree="{yaw}" {space}:GimbalPitchDegree="0" {space}:GpsLatitude="48" '
        f'{space}:GpsLongitude="11" {space}:AbsoluteAltitude="500" '
        for space, yaw in (("drone-dji", 10), ("drone", 20))
    )
    path = tmp_path / "photograph.jpg"
    path.write_bytes(with_xmp(picture(), values + "/>"))
    assert pose_in(read_tags(path)).yaw_deg == 10.0


@pytest.mark.parametrize(("source", "is_thermal"), [("INFRARED", True), ("MAIN_VISIBLE", False)])
def test_thermal_picture_of_skydio_is_left_out(tmp_path: Path, source: str, is_thermal: bool) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(with_xmp(picture(), f'drone-skydio:CameraSource="{source}"/>'))
    problem = FoundPicture(path, path.name).problem
    assert (problem is not None and problem.kind == "thermal") is is_thermal


def dji_pose(**values: str) -> TaggedPose:
    basis = {"GpsLatitude": "48", "GpsLongitude": "11", "AbsoluteAltitude": "+500.0"}
    angles = {"GimbalYawDegree": "+0.00", "GimbalPitchDegree": "-12.30", "GimbalRollDegree": "+0.00"}
    return pose_in(PhotographTags(dji=basis | angles | values))


@pytest.mark.parametrize(
    ("flag", "sigma_m", "has_rtk"),
    [
        ("0", 1.5, False),
        ("16", 1.5, False),
        ("32", 0.7, False),
        ("34", 0.7, False),
        ("49", 0.7, False),
        ("50", 0.7, True),
    ],
)
def test_rtk_flag_of_a_float_or_fixed_solution_keeps_the_standard_deviations(
    flag: str, sigma_m: float, has_rtk: bool
) -> None:
    pose = dji_pose(RtkFlag=flag, RtkStdLon="0.7", RtkStdLat="0.8", RtkStdHgt="0.9")
    assert pose.has_rtk is has_rtk and pose.sigma_m[0] == sigma_m
    assert pose.pitch_deg == -12.3


@pytest.mark.parametrize(("status", "range_m"), [(None, 57.1), ("Normal", 57.1), ("TooFar", None), ("TooClose", None)])
def test_laser_distance_counts_only_with_a_normal_status(status: str | None, range_m: float | None) -> None:
    values = {"LRFTargetDistance": "57.1"} | ({} if status is None else {"LRFStatus": status})
    assert dji_pose(**values).range_m == range_m


def resized(size_px: tuple[int, int]) -> bytes:
    image = cv2.imdecode(np.frombuffer(picture(), np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.resize(image, size_px))[1].tobytes()


def test_photograph_that_was_resized_keeps_its_field_of_view(tmp_path: Path) -> None:
    """The calibration in the tags belongs to the pixels that the camera took."""
    folder = write_pictures(tmp_path / "images")
    for name, pose in POSES.items():
        jpeg = resized((WIDTH // 2, HEIGHT // 2))
        (folder / name).write_bytes(with_tags(jpeg, tags_of(pose, PLACE, CAMERA, START_NS, 0.01)))
    recording = open_recording(folder, ORIGIN)
    assert len(recording) == 3
    for each in recording:
        assert (each.camera.width_px, each.camera.height_px) == (WIDTH // 2, HEIGHT // 2)
        # The same place in both pictures: x of the small one is half that of the large one, from corner to corner.
        small, large = np.array([[3.0, 20.0]]), np.array([[6.5, 40.5]])
        np.testing.assert_allclose(each.camera.normalised(small), CAMERA.normalised(large), atol=1e-7)


def test_photograph_that_was_cropped_is_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "images")
    tags = tags_of(POSES["DJI_0001.JPG"], PLACE, CAMERA, START_NS, 0.01)
    (folder / "DJI_0001.JPG").write_bytes(with_tags(resized((WIDTH, HEIGHT // 2)), tags))
    problems = {name: problem.kind for name, problem in open_recording(folder, ORIGIN).unusable}
    assert problems["DJI_0001.JPG"] == "other_size"


@pytest.mark.parametrize(("centre", "taken_px"), [((2736, 1824), (5472, 3648)), ((688.5, 450.5), (1368, 912))])
def test_calibrated_centre_gives_the_size_of_the_camera(centre: tuple[float, float], taken_px: tuple[int, int]) -> None:
    values = {"CalibratedFocalLength": "3666.67"}
    values |= {f"CalibratedOpticalCenter{axis}": f"{value:.6f}" for axis, value in zip("XY", centre, strict=True)}
    camera, is_estimated = camera_in(PhotographTags(dji=values), (1368, 912))
    assert (camera.width_px, camera.height_px) == taken_px and not is_estimated
