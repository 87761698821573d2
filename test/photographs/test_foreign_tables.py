# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of tables and blocks as photogrammetry programs lay them out, with the angles that they mean."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pose_exports as exports
import pytest
from posed_pictures import ANGLES_DEG, CAMERA, HEIGHT, POSES, WIDTH, write_pictures

from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.photographs.earth import nadir_camera
from crack_perception.photographs.lenses import brown_camera
from crack_perception.photographs.recording import PhotographRecording, RecordingOptions, open_recording
from crack_perception.photographs.table import Unusable
from crack_perception.simulation.flight.photographs import PLACE

LENS = f"70,70,30.9,24.2,{WIDTH},{HEIGHT}"
LENS_NAMES = "fx,fy,cx,cy,width,height"
# A coordinate system in well-known text has more commas than a line of names.
WGS84 = (
    '# CoordinateSystem: GEOGCS["WGS 84",DATUM["World Geodetic System 1984",SPHEROID["WGS 84",6378137,298.257223563],'
    'TOWGS84[0,0,0,0,0,0,0]],PRIMEM["Greenwich",0],UNIT["degree",0.01745329251994328],AUTHORITY["EPSG","4326"]]'
)
LOCAL = '# CoordinateSystem: LOCAL_CS["Local Coordinates (m)",LOCAL_DATUM["Local Datum",0],UNIT["metre",1,A["E","1"]]]'
ORIGIN = RecordingOptions(origin=(PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "images")


def write_camera(folder: Path) -> Path:
    path = folder.parent / "camera.yaml"
    k, d = CAMERA.k.ravel().tolist(), CAMERA.d.tolist()
    path.write_text(
        f"image_width: {WIDTH}\nimage_height: {HEIGHT}\ncamera_matrix: {{data: {k}}}\n"
        f"distortion_coefficients: {{data: {d}}}\n"
    )
    return path


def check_poses(recording: PhotographRecording, names: list[str], position_m: float = 1e-4) -> None:
    assert [each.name for each in recording] == names
    for each in recording:
        np.testing.assert_allclose(
            each.pose.position_m + recording.shift_m, POSES[each.name].position_m, atol=position_m
        )
        np.testing.assert_allclose(each.pose.rotation, POSES[each.name].rotation, atol=1e-7)


def nadir_angles(name: str) -> str:
    """Return yaw, pitch and roll with a pitch from straight down."""
    yaw, pitch = ANGLES_DEG[name]
    return f"{yaw},{pitch + 90.0},0"


def photogrammetric_angles_deg(pose: Pose) -> list[float]:
    """Return omega, phi and kappa of the axes right, up and backwards."""
    m = pose.rotation @ np.diag([1.0, -1.0, -1.0])
    turns = math.atan2(-m[1, 2], m[2, 2]), math.asin(m[0, 2]), math.atan2(-m[0, 1], m[0, 0])
    return [math.degrees(turn) for turn in turns]


def place_of(name: str) -> str:
    longitude, latitude, height = PLACE.positions(POSES[name].position_m[None])[0]
    return f"{longitude:.10f},{latitude:.10f},{height:.6f}"


def test_table_of_metashape_reference_has_angles_from_straight_down(folder: Path) -> None:
    lines = [WGS84, f"#Label,X/Longitude,Y/Latitude,Z/Altitude,Yaw,Pitch,Roll,{LENS_NAMES}"]
    lines += [f"{Path(name).stem},{place_of(name)},{nadir_angles(name)},{LENS}" for name in POSES]
    (folder / "poses.csv").write_text("\n".join([*lines, "# Total Error,0.1"]))
    recording = open_recording(folder, ORIGIN)
    check_poses(recording, sorted(POSES))
    assert any("no adjusted poses" in note for note in recording.notes)


def test_table_of_metashape_with_adjusted_values_uses_these(folder: Path) -> None:
    names = "Label,Enable,X,Y,Z,Yaw,Pitch,Roll,Error_(m),X_est,Y_est,Z_est,Yaw_est,Pitch_est,Roll_est"
    first, second, third = POSES
    x, y, z = POSES[first].position_m
    lines = [LOCAL, f"{names},{LENS_NAMES}"]
    lines.append(f"{first},1,{x + 3},{y},{z},0,0,0,3.0,{x},{y},{z},{nadir_angles(first)},{LENS}")
    # Without adjusted values: not aligned.
    lines.append(f"{second},1,{x},{y},{z},0,0,0,,,,,,,,{LENS}")
    lines.append(f"{third},0,{x},{y},{z},0,0,0,3.0,{x},{y},{z},0,0,0,{LENS}")
    (folder / "poses.txt").write_text("\n".join(lines))
    recording = open_recording(folder)
    check_poses(recording, [first], position_m=1e-9)
    problems = dict(recording.unusable)
    assert problems[second].kind == "no_pose" and "disabled" in str(problems[third])


def test_table_of_metashape_in_projected_coordinates_is_read(folder: Path) -> None:
    system = '# CoordinateSystem: PROJCS["UTM 32N",GEOGCS["WGS 84",DATUM["a",SPHEROID["b",1,2]]],UNIT["metre",1]]'
    lines = [system, f"#Label,X/Easting,Y/Northing,Z/Altitude,Yaw,Pitch,Roll,{LENS_NAMES}"]
    shift_m = np.array([691_500.0, 5_334_700.0, 0.0])
    for name, pose in POSES.items():
        x, y, z = pose.position_m + shift_m
        lines.append(f"{name},{x:.6f},{y:.6f},{z:.6f},{nadir_angles(name)},{LENS}")
    (folder / "poses.csv").write_text("\n".join(lines))
    recording = open_recording(folder)
    np.testing.assert_array_equal(recording.shift_m, shift_m)
    for each in recording:
        np.testing.assert_allclose(each.pose.position_m, POSES[each.name].position_m, atol=1e-5)


def test_table_of_metashape_in_earth_centred_coordinates_is_refused(folder: Path) -> None:
    text = '# CoordinateSystem: GEOCCS["WGS 84",DATUM["a",SPHEROID["b",1,2]],UNIT["metre",1]]\n'
    (folder / "poses.csv").write_text(text + "#Label,X,Y,Z,Yaw,Pitch,Roll\na.JPG,1,2,3,0,0,0\n")
    with pytest.raises(UserError, match="earth-centred"):
        open_recording(folder)


@pytest.mark.parametrize("has_suffix", [False, True])
def test_list_of_omega_phi_kappa_of_metashape_has_tabs_below_commas(folder: Path, has_suffix: bool) -> None:
    lines = ["# Cameras (3)", "# PhotoID, X, Y, Z, Omega, Phi, Kappa, r11, r12, r13, r21, r22, r23, r31, r32, r33"]
    for name, pose in POSES.items():
        numbers = [*pose.position_m, *photogrammetric_angles_deg(pose), *pose.rotation.ravel()]
        lines.append("\t".join([name if has_suffix else Path(name).stem, *(f"{n:.10f}" for n in numbers)]))
    (folder / "poses.txt").write_text("\n".join(lines))
    camera = write_camera(folder)
    check_poses(open_recording(folder, RecordingOptions(camera=camera)), sorted(POSES))


def test_external_parameters_of_pix4d_are_separated_by_spaces(folder: Path) -> None:
    lines = ["imageName X Y Z Omega Phi Kappa"]
    for name, pose in POSES.items():
        numbers = [*pose.position_m, *photogrammetric_angles_deg(pose)]
        lines.append(" ".join([name, *(f"{n:.10f}" for n in numbers)]) + " ")
    path = folder / "survey_calibrated_external_camera_parameters.txt"
    path.write_text("\n".join(lines))
    camera = write_camera(folder)
    check_poses(open_recording(folder, RecordingOptions(poses=path, camera=camera)), sorted(POSES))


def test_nadir_camera_rolls_its_right_side_down() -> None:
    pose = Pose.of([0.0, 0.0, 0.0], nadir_camera(0.0, 0.0, 10.0))
    right, forward = pose.rotation[:, 0], pose.rotation[:, 2]
    np.testing.assert_allclose(right, [np.cos(np.radians(10)), 0.0, -np.sin(np.radians(10))], atol=1e-12)
    np.testing.assert_allclose(forward, [-np.sin(np.radians(10)), 0.0, -np.cos(np.radians(10))], atol=1e-12)


GEOGRAPHIC = ["EPSG:4326", "EPSG:4326+5773", "EPSG:4979", "EPSG:4258", "WGS84", 'GEOGCS["WGS 84"]', "+proj=longlat"]


@pytest.mark.parametrize("definition", GEOGRAPHIC)
def test_block_in_longitude_and_latitude_is_placed(folder: Path, definition: str) -> None:
    path = exports.write_context_capture(folder / "block.xml", POSES, CAMERA)
    text = path.read_text().replace("<Definition>LOCAL_CS<", f"<Definition>{definition}<")
    for name, pose in POSES.items():
        x, y, z = (f"{value:.12g}" for value in pose.position_m)
        longitude, latitude, height = place_of(name).split(",")
        text = text.replace(f"<x>{x}</x><y>{y}</y><z>{z}</z>", f"<x>{longitude}</x><y>{latitude}</y><z>{height}</z>")
    path.write_text(text)
    recording = open_recording(folder, ORIGIN)
    assert recording.origin == PLACE
    check_poses(recording, sorted(POSES))


def test_block_whose_photogroup_has_another_system_uses_that(folder: Path) -> None:
    path = exports.write_context_capture(folder / "block.xml", POSES, CAMERA)
    text = path.read_text().replace("</SRS></Sp", "</SRS><SRS><Id>7</Id><Definition>EPSG:4326</Definition></SRS></Sp")
    path.write_text(text.replace("<Photogroup>", "<Photogroup><SRSId>7</SRSId>"))
    # The positions are metres, which are no places in degrees.
    assert {problem.kind for _, problem in open_recording(folder).unusable} <= {"implausible_pose"}
    other = text[text.index("<Photogroup>") : text.index("</Photogroups>")]
    other = other.replace("<Photogroup>", "<Photogroup><SRSId>7</SRSId>")
    path.write_text(text.replace("</Photogroups>", f"{other}</Photogroups>"))
    with pytest.raises(UserError, match="several coordinate systems"):
        open_recording(folder)


def test_block_of_a_thermal_photogroup_is_left_out(folder: Path) -> None:
    path = exports.write_context_capture(folder / "block.xml", POSES, CAMERA)
    path.write_text(path.read_text().replace("<SensorSize>", "<CameraModelBand>Thermal</CameraModelBand><SensorSize>"))
    assert {problem.kind for _, problem in open_recording(folder).unusable} == {"thermal"}


def test_metashape_chunk_without_alignment_does_not_hide_the_aligned_one(folder: Path) -> None:
    path = exports.write_metashape(folder / "cameras.xml", POSES, CAMERA, PLACE)
    cameras = "".join(f'<camera id="{n}" sensor_id="0" label="{Path(name).stem}"/>' for n, name in enumerate(POSES))
    copy = f'<chunk label="Copy"><sensors/><cameras>{cameras}</cameras></chunk>'
    path.write_text(path.read_text().replace("</document>", f"{copy}</document>"))
    assert len(open_recording(folder, ORIGIN)) == 3


def test_metashape_chunk_that_is_disabled_or_repeated_is_not_used(folder: Path) -> None:
    path = exports.write_metashape(folder / "cameras.xml", POSES, CAMERA, PLACE)
    text = path.read_text()
    chunk = text[text.index("<chunk") : text.index("</document>")]
    path.write_text(text.replace("</document>", f"{chunk}</document>"))
    recording = open_recording(folder, ORIGIN)
    check_poses(recording, sorted(POSES))
    assert any("3 labels are aligned several times" in note for note in recording.notes)
    path.write_text(text.replace('<chunk label="Chunk 1" enabled="true">', '<chunk label="Chunk 1" enabled="false">'))
    assert len(open_recording(folder).unusable) == 3


def test_metashape_skew_that_moves_pixels_is_reported(folder: Path) -> None:
    path = exports.write_metashape(folder / "cameras.xml", POSES, CAMERA, PLACE)
    text = path.read_text()
    path.write_text(text.replace("<cx>", "<b2>-0.2</b2><cx>"))
    assert not any("b2" in note for note in open_recording(folder, ORIGIN).notes)
    path.write_text(text.replace("<cx>", "<b2>-20</b2><cx>"))
    # 20 px times half the height over the focal length.
    assert any("up to 6.9 px" in note for note in open_recording(folder, ORIGIN).notes)


def test_brown_camera_with_a_strong_eighth_order_term_is_followed() -> None:
    """Coefficients as adjustments of wide lenses give them: the terms of higher order cancel one another."""
    k, size_px, focal_px = [-0.09, -0.08, 0.12, -0.08], (5280, 3956), 3700.0
    camera = brown_camera(size_px, (focal_px, focal_px), (2639.5, 1977.5), k)
    radius = np.linspace(0.0, 0.5 * math.hypot(*size_px) / focal_px, 100)
    factor = 1.0 + sum(value * radius ** (2 * n + 2) for n, value in enumerate(k))
    pixels = np.stack([2639.5 + focal_px * radius * factor * 0.8, 1977.5 + focal_px * radius * factor * 0.6], axis=1)
    undistorted = np.stack([radius * 0.8, radius * 0.6], axis=1)
    np.testing.assert_allclose(camera.normalised(pixels), undistorted, atol=0.3 / focal_px)


def test_brown_camera_with_an_impossible_eighth_order_term_is_refused() -> None:
    with pytest.raises(Unusable):
        brown_camera((5280, 3956), (1000.0, 1000.0), (2639.5, 1977.5), [0.5, -9.0, 30.0, -60.0])
