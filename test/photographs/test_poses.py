# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the readers of poses: every format gives the cameras and poses that were written."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pose_exports as exports
import pytest
from posed_pictures import CAMERA, HEIGHT, POSES, START_NS, WIDTH, looking, picture, write_pictures

from crack_perception.errors import UsageError, UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.photographs.recording import PhotographRecording, RecordingOptions, open_recording
from crack_perception.photographs.surfaces.settings import SurfaceSettings
from crack_perception.photographs.table import NameIndex, Unusable
from crack_perception.simulation.flight.photographs import PLACE, tags_of, with_tags


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "images")


def check(recording: PhotographRecording, position_m: float = 1e-6, angle: float = 1e-6) -> None:
    assert recording.unusable == ()
    assert [each.name for each in recording] == sorted(POSES)
    for each in recording:
        pose = POSES[each.name]
        np.testing.assert_allclose(each.pose.position_m + recording.shift_m, pose.position_m, atol=position_m)
        np.testing.assert_allclose(each.pose.rotation, pose.rotation, atol=angle)
        pixels = np.array([[0.0, 0.0], [60.0, 5.0], [31.0, 24.0], [10.0, 44.0]])
        np.testing.assert_allclose(each.camera.normalised(pixels), CAMERA.normalised(pixels), atol=1e-7)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "csv": lambda folder: exports.write_csv(folder / "poses.csv", POSES, CAMERA),
    "colmap text": lambda folder: exports.write_colmap_text(folder / "sparse" / "0", POSES, CAMERA),
    "colmap binary": lambda folder: exports.write_colmap_binary(folder / "sparse", POSES, CAMERA),
    "opendronemap": lambda folder: exports.write_opendronemap(folder, POSES, CAMERA, np.zeros(3), None),
    "context capture": lambda folder: exports.write_context_capture(folder / "block.xml", POSES, CAMERA),
    "context capture yaw": lambda folder: exports.write_context_capture(folder / "block.xml", POSES, CAMERA, "yaw"),
    "context capture angles": lambda folder: exports.write_context_capture(
        folder / "block.xml", POSES, CAMERA, "omega"
    ),
}


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_recording_format_gives_cameras_and_poses(folder: Path, kind: str) -> None:
    WRITERS[kind](folder)
    check(open_recording(folder))


@pytest.mark.parametrize("has_component", [False, True])
def test_recording_metashape_chunk_is_placed_on_the_earth(folder: Path, has_component: bool) -> None:
    exports.write_metashape(folder / "cameras.xml", POSES, CAMERA, PLACE, has_component)
    place = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
    recording = open_recording(folder, RecordingOptions(origin=place))
    check(recording, position_m=1e-5, angle=1e-7)
    assert recording.origin == PLACE


def test_recording_opendronemap_grid_is_shifted_and_placed(folder: Path) -> None:
    offset_m = np.array([691_500.0, 5_334_700.0, 0.0])
    exports.write_opendronemap(folder, POSES, CAMERA, offset_m, PLACE)
    recording = open_recording(folder)
    np.testing.assert_array_equal(recording.shift_m, offset_m)
    for each in recording:
        np.testing.assert_allclose(each.pose.position_m, POSES[each.name].position_m, atol=1e-6)
    assert recording.origin is not None
    assert recording.origin.latitude_deg == pytest.approx(PLACE.latitude_deg, abs=1e-6)
    assert recording.origin.longitude_deg == pytest.approx(PLACE.longitude_deg, abs=1e-6)


def test_recording_opendronemap_grid_convergence_is_that_of_utm() -> None:
    pyproj = pytest.importorskip("pyproj")
    from crack_perception.photographs.earth import grid_convergence_deg

    for latitude, longitude in ((48.1, 11.6), (-33.9, 151.2), (60.0, 2.9)):
        zone = int((longitude + 180) // 6) + 1
        grid = pyproj.Proj(proj="utm", zone=zone, south=latitude < 0)
        expected = grid.get_factors(longitude, latitude).meridian_convergence
        assert grid_convergence_deg(latitude, longitude) == pytest.approx(expected, abs=0.01)


def test_recording_dji_tags_give_cameras_and_poses(folder: Path) -> None:
    for number, (name, pose) in enumerate(POSES.items()):
        tags = tags_of(pose, PLACE, CAMERA, START_NS + 1_500_000_000 * number, 0.01)
        (folder / name).write_bytes(with_tags(picture(), tags))
    place = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
    recording = open_recording(folder, RecordingOptions(origin=place))
    # The tags hold millimetres and hundredths of a degree.
    check(recording, position_m=1e-3, angle=3e-4)
    assert [each.stamp_ns - START_NS for each in recording] == [0, 1_500_000_000, 3_000_000_000]
    assert recording.origin == PLACE
    np.testing.assert_allclose(recording.photographs[0].position_sigma_m, 0.01)


def test_recording_csv_of_places_and_gimbal_angles(folder: Path) -> None:
    lines = ["Label;Longitude;Latitude;Altitude;Yaw;Pitch;Roll;fx;width;height"]
    for name, yaw, pitch in (("DJI_0001", 70.0, 3.0), ("DJI_0002", 250.0, -20.0), ("DJI_0003", 12.0, 45.0)):
        longitude, latitude, height = PLACE.positions(POSES[f"{name}.JPG"].position_m[None])[0]
        lines.append(f"{name};{longitude:.10f};{latitude:.10f};{height:.6f};{yaw};{pitch};0;70;{WIDTH};{HEIGHT}")
    (folder / "poses.csv").write_text("\n".join(lines))
    place = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
    recording = open_recording(folder, RecordingOptions(origin=place))
    for each in recording:
        np.testing.assert_allclose(each.pose.position_m, POSES[each.name].position_m, atol=1e-4)
        np.testing.assert_allclose(each.pose.rotation, POSES[each.name].rotation, atol=1e-7)


@pytest.mark.parametrize("time", ["2026-05-01T12:00:0{n},5Z", "2026-05-01 14:00:0{n}.500+02:00", "1777636800,5{n}"])
def test_recording_csv_with_decimal_commas_and_times(folder: Path, time: str) -> None:
    """A table as a spreadsheet of a country with decimal commas writes it."""
    lines = ["file;x;y;z;qx;qy;qz;qw;time;fx;fy;cx;cy;width;height;position_sigma"]
    for n, (name, pose) in enumerate(POSES.items()):
        numbers = [f"{value:.9f}".replace(".", ",") for value in [*pose.position_m, *pose.quaternion]]
        lens = ["70,0", "70,0", "32,5", "24,5", str(WIDTH), str(HEIGHT), "0,03"]
        lines.append(";".join([name, *numbers, time.format(n=n), *lens]))
    (folder / "poses.csv").write_text("\n".join(lines))
    recording = open_recording(folder)
    assert recording.unusable == () and len(recording) == 3
    noon = datetime(2026, 5, 1, 12, 0, 0, tzinfo=timezone.utc).timestamp()
    for n, each in enumerate(recording):
        np.testing.assert_allclose(each.pose.position_m, POSES[each.name].position_m, atol=1e-8)
        expected_s = noon + (0.5 + n if ":" in time else 0.5 + 0.01 * n)
        assert each.stamp_ns / 1e9 == pytest.approx(expected_s, abs=1e-3)
        assert each.camera.k[0, 2] == 32.5 and each.position_sigma_m == pytest.approx([0.03] * 3)


def test_recording_csv_numbers_with_thousands_separators(folder: Path) -> None:
    head = "file;x;y;z;yaw;pitch;roll;fx;width;height"
    lens = f"70;{WIDTH};{HEIGHT}"
    lines = [head, *(f"{name};1.234,5;-2.000,25;{n};10,5;0;0;{lens}" for n, name in enumerate(POSES))]
    (folder / "poses.csv").write_text("\n".join(lines))
    assert open_recording(folder).photographs[0].pose.position_m[:2] == pytest.approx([1234.5, -2000.25])
    quoted = [head.replace(";", ","), *(f'{name},"1,234.5","2.5",{n},0,0,0,{lens}' for n, name in enumerate(POSES))]
    (folder / "poses.csv").write_text("\n".join(quoted).replace(";", ","))
    assert open_recording(folder).photographs[0].pose.position_m[:2] == pytest.approx([1234.5, 2.5])


def test_recording_csv_of_two_decimal_signs_is_refused(folder: Path) -> None:
    names = list(POSES)
    lines = ["file;x;y;z;yaw;pitch;roll", f"{names[0]};1,5;0;0;0;0;0", f"{names[1]};1.5;0;0;0;0;0"]
    (folder / "poses.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"decimal comma .'1,5'. and with a decimal point .'1.5'"):
        open_recording(folder)


def test_recording_csv_row_with_unquoted_commas_is_named(folder: Path) -> None:
    lens = f"70,{WIDTH},{HEIGHT}"
    names = list(POSES)
    lines = ["file,x,y,z,yaw,pitch,roll,fx,width,height", f"{names[0]},1,5,2,0,3,5,0,0,0,{lens}"]
    (folder / "poses.csv").write_text("\n".join([*lines, *(f"{name},1,2,3,0,0,0,{lens},," for name in names[1:])]))
    recording = open_recording(folder)
    assert [each.name for each in recording] == names[1:]
    ((name, problem),) = recording.unusable
    assert name == names[0] and problem.kind == "implausible_pose" and "more fields" in str(problem)


@pytest.mark.parametrize(
    ("column", "text"),
    [("time", "yesterday"), ("time", "1777636800500"), ("position_sigma", "n/a"), ("attitude_sigma", "-1")],
)
def test_recording_csv_unreadable_optional_value_costs_no_photograph(folder: Path, column: str, text: str) -> None:
    lines = [f"file,x,y,z,yaw,pitch,roll,fx,width,height,{column}"]
    lines += [f"{name},1,2,{n},0,0,0,70,{WIDTH},{HEIGHT},{text}" for n, name in enumerate(POSES)]
    (folder / "poses.csv").write_text("\n".join(lines))
    recording = open_recording(folder)
    assert len(recording) == 3
    assert any(f"3 values of the column {column}" in note and text in note for note in recording.notes)


def test_recording_colmap_camera_model_that_is_unknown_costs_its_pictures_only(folder: Path) -> None:
    """Of models that a later version of COLMAP adds, not even the number of parameters is known."""
    path = exports.write_colmap_binary(folder / "sparse", POSES, CAMERA)
    known = (folder / "sparse" / "cameras.bin").read_bytes()[8:]
    others = [
        struct.pack("<iiQQ5d", 7, 23, WIDTH, HEIGHT, 70.0, 31.5, 23.5, 0.1, 0.2),
        known,
        struct.pack("<iiQQ5d", 9, 23, WIDTH, HEIGHT, 71.0, 31.5, 23.5, 0.1, 0.2),
        struct.pack("<iiQQ4d", 8, 12, WIDTH, HEIGHT, 70.0, 31.5, 23.5, 0.1),
    ]
    (folder / "sparse" / "cameras.bin").write_bytes(struct.pack("<Q", len(others)) + b"".join(others))
    (count,) = struct.unpack_from("<Q", data := path.read_bytes())
    assert count == 3
    # The first picture is of the camera with the unknown model.
    path.write_bytes(data[:8] + struct.pack("<I", 1) + data[12:68] + struct.pack("<I", 9) + data[72:])
    recording = open_recording(folder)
    names = sorted(POSES)
    assert [each.name for each in recording] == names[1:]
    ((name, problem),) = recording.unusable
    assert name == names[0] and problem.kind == "unsupported_camera" and "number 23" in str(problem)
    for each in recording:
        np.testing.assert_allclose(each.pose.position_m, POSES[each.name].position_m, atol=1e-6)


@pytest.mark.parametrize(
    "row", ["1 FUTURE {size} 3 2 1", "1 PINHOLE {size} 70 70 31.5", "1 DIVISION {size} 70 70 32 24 0"]
)
def test_recording_colmap_text_camera_that_is_unsupported_costs_its_pictures_only(folder: Path, row: str) -> None:
    exports.write_colmap_text(folder / "sparse", POSES, CAMERA)
    (folder / "sparse" / "cameras.txt").write_text(row.format(size=f"{WIDTH} {HEIGHT}") + "\n")
    recording = open_recording(folder)
    assert [problem.kind for _, problem in recording.unusable] == ["unsupported_camera"] * 3


def test_recording_colmap_fisheye_without_distortion_is_equidistant(folder: Path) -> None:
    exports.write_colmap_text(folder / "sparse", POSES, CAMERA)
    (folder / "sparse" / "cameras.txt").write_text(f"1 SIMPLE_FISHEYE {WIDTH} {HEIGHT} 40 32 24\n")
    each = open_recording(folder).photographs[0]
    # The angle from the axis is the distance from the centre by the focal length.
    assert each.camera.normalised(np.array([[51.5, 23.5]]))[0] == pytest.approx([np.tan(0.5), 0.0], abs=1e-6)


def test_recording_utm_of_places_is_that_of_proj() -> None:
    pyproj = pytest.importorskip("pyproj")
    from crack_perception.photographs.earth import utm, utm_zone

    for latitude, longitude in ((48.13743, 11.57549), (-33.9, 151.2), (60.0, 3.1), (0.5, 179.9), (-5.0, -179.9)):
        zone = utm_zone(longitude)
        grid = pyproj.Transformer.from_crs(4326, (32600 if latitude >= 0 else 32700) + zone, always_xy=True)
        assert utm(latitude, longitude, zone) == pytest.approx(grid.transform(longitude, latitude), abs=2e-3)
    beyond = pyproj.Transformer.from_crs(4326, 32632, always_xy=True).transform(12.4, 48.0)
    assert utm(48.0, 12.4, 32) == pytest.approx(beyond, abs=2e-3)


def test_recording_camera_file_serves_photographs_without_calibration(folder: Path) -> None:
    lines = ["file,x,y,z,omega,phi,kappa", *(f"{name},0,0,{n},0,0,0" for n, name in enumerate(POSES))]
    (folder / "poses.csv").write_text("\n".join(lines))
    camera = folder / "camera.yaml"
    camera.write_text(
        f"image_width: {2 * WIDTH}\nimage_height: {2 * HEIGHT}\n"
        "camera_matrix: {data: [140, 0, 64, 0, 140, 48, 0, 0, 1]}\n"
        "distortion_coefficients: {data: [0.1, 0, 0, 0, 0]}\n"
    )
    for each in open_recording(folder, RecordingOptions(camera=camera)):
        assert each.camera.focal_px == pytest.approx(70.0) and each.camera.d[0] == 0.1
        # Without any turn the camera looks straight down.
        np.testing.assert_allclose(each.pose.rotation[:, 2], [0, 0, -1], atol=1e-12)
    assert {problem.kind for _, problem in open_recording(folder).unusable} == {"no_camera"}


def test_recording_scale_applies_to_positions(folder: Path) -> None:
    exports.write_colmap_text(folder / "sparse", POSES, CAMERA)
    recording = open_recording(folder, RecordingOptions(scale=2.5))
    for each in recording:
        np.testing.assert_allclose(each.pose.position_m, 2.5 * POSES[each.name].position_m, atol=1e-6)


def test_recording_colmap_is_aligned_by_the_tags(folder: Path) -> None:
    """A model of another scale and direction gets those of the positions in the tags, without a wrong one."""
    poses = {
        f"DJI_{n:04d}.JPG": looking(10.0 * n, -5.0 * n, (3.0 * (n % 4), 2.0 * (n // 4), 0.5 * n)) for n in range(12)
    }
    turn = Pose.of([4.0, -7.0, 2.0], [0.3, -0.2, 0.5, 0.8])
    model = {}
    for name, pose in poses.items():
        moved = turn.inverse().compose(pose)
        model[name] = Pose.of(moved.position_m / 2.5, moved.quaternion)
        tags = tags_of(pose, PLACE, CAMERA, START_NS, 0.01)
        if name == "DJI_0007.JPG":
            tags = replace(tags, latitude_deg=tags.latitude_deg + 1e-3)
        (folder / name).write_bytes(with_tags(picture(), tags))
    exports.write_colmap_text(folder / "sparse", model, CAMERA)
    place = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
    recording = open_recording(folder, RecordingOptions(align=True, origin=place))
    assert len(recording) == 12 and recording.origin == PLACE
    for each in recording:
        np.testing.assert_allclose(each.pose.position_m, poses[each.name].position_m, atol=2e-3)
        np.testing.assert_allclose(each.pose.rotation, poses[each.name].rotation, atol=1e-3)
    assert recording.scale == pytest.approx(2.5, rel=1e-3)
    # A plane of the model, z = 2 in its frame, moves with it.
    (plane,) = SurfaceSettings(equations=(0, 0, 1, 2)).planes(recording.shift_m, recording.scale, recording.turn).planes
    np.testing.assert_allclose(plane.normal, turn.rotation[:, 2], atol=1e-3)
    point_m = turn.transform([[1.0, 2.0, 5.0]])[0]
    assert float(plane.normal @ point_m) == pytest.approx(plane.offset_m, abs=5e-3)


def test_recording_alignment_that_is_not_determined_is_refused(folder: Path) -> None:
    exports.write_colmap_text(folder / "sparse", POSES, CAMERA)
    with pytest.raises(UserError, match="--align needs 4"):
        open_recording(folder, RecordingOptions(align=True))


def test_recording_truncated_colmap_model_keeps_what_precedes(folder: Path) -> None:
    path = exports.write_colmap_binary(folder / "sparse", POSES, CAMERA)
    path.write_bytes(path.read_bytes()[:-20])
    recording = open_recording(folder)
    assert len(recording) == 2 and [problem.kind for _, problem in recording.unusable] == ["no_pose"]
    assert any("damaged after 2 images" in note for note in recording.notes)


def test_recording_several_tables_ask_for_one(folder: Path) -> None:
    exports.write_csv(folder / "poses.csv", POSES, CAMERA)
    exports.write_colmap_text(folder / "sparse", POSES, CAMERA)
    with pytest.raises(UsageError, match="several tables"):
        open_recording(folder)
    assert len(open_recording(folder, RecordingOptions(poses=folder / "sparse"))) == 3


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("poses.csv", "a,b\n1,2\n", "no table of poses"),
        ("block.xml", '<!DOCTYPE a [<!ENTITY x "y">]><BlocksExchange/>', "document type"),
        ("block.xml", "<BlocksExchange><Block>", "no XML"),
        ("shots.geojson", '{"features": 3}', "cameras.json"),
        ("images.txt", "1 2 3\n", "cameras.txt"),
    ],
)
def test_recording_bad_table_names_the_file(folder: Path, name: str, content: str, text: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=text) as error:
        open_recording(folder, RecordingOptions(poses=folder / name))
    assert str(folder) in str(error.value)


def test_name_index_prefers_the_longest_path() -> None:
    index = NameIndex({"C:\\a\\left\\IMG_1.JPG": 0, "C:\\a\\right\\IMG_1.JPG": 0, "IMG_2": 0})
    assert index.find(Path("right/img_1.jpg")) == "C:\\a\\right\\IMG_1.JPG"
    assert index.find(Path("x/IMG_2.jpg")) == "IMG_2"
    assert index.find(Path("IMG_3.jpg")) is None
    with pytest.raises(Unusable, match="name 2 pictures"):
        index.find(Path("IMG_1.JPG"))


def test_recording_csv_quaternion_of_another_length_costs_its_photograph_only(folder: Path) -> None:
    lines = [f"file,x,y,z,qx,qy,qz,qw,fx,width,height\n{next(iter(POSES))},1,2,3,0,0,0,0.5,70,{WIDTH},{HEIGHT}"]
    lines += [f"{name},1,2,3,0,0,0.7,0.7,70,{WIDTH},{HEIGHT}" for name in list(POSES)[1:]]
    (folder / "poses.csv").write_text("\n".join(lines))
    recording = open_recording(folder)
    assert [each.name for each in recording] == list(POSES)[1:]
