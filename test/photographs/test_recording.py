# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of recordings of photographs: unusual tags, sizes, orientations and names are used, or refused by kind."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.photographs.photograph import KINDS
from crack_perception.photographs.recording import PhotographRecording, RecordingOptions, open_recording
from crack_perception.photographs.table import Unusable
from crack_perception.photographs.tags import read_tags
from crack_perception.simulation.flight.photographs import PLACE, DjiTags, gimbal_angles_deg, tags_of, with_tags

CAMERA = CameraModel.of(64, 48, [[70.0, 0, 30.0], [0, 70.0, 24.0], [0, 0, 1]], [-0.1, 0.01, 0, 0, 0], "plumb_bob")
TO_NORTH = Pose.of([1.0, 2.0, 30.0], rotations.from_matrix([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]))
STAMP_NS = 1_700_000_000_250_000_000
HERE = RecordingOptions(origin=(PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m))


def picture(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(100, 200, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def tags(**changes: object) -> DjiTags:
    return replace(tags_of(TO_NORTH, PLACE, CAMERA, STAMP_NS, 0.01), **changes)


def recording_of(folder: Path, *files: tuple[str, bytes], options: RecordingOptions = HERE) -> PhotographRecording:
    for name, data in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return open_recording(folder, options)


def without(data: bytes, *names: str) -> bytes:
    """Remove tags of DJI, keeping the length of the packet."""
    for name in names:
        data = re.sub(rb'drone-dji:(%s="[^"]*")' % name.encode(), lambda match: b"drone-xxx:" + match[1], data)
    return data


def kinds(recording: PhotographRecording) -> dict[str, str]:
    return {name: problem.kind for name, problem in recording.unusable}


def test_recording_reads_position_angles_time_and_camera(tmp_path: Path) -> None:
    (each,) = recording_of(tmp_path, ("a.jpg", with_tags(jpeg(picture()), tags())))
    np.testing.assert_allclose(each.pose.position_m, TO_NORTH.position_m, atol=1e-3)
    np.testing.assert_allclose(each.pose.rotation, TO_NORTH.rotation, atol=3e-4)
    assert each.stamp_ns == STAMP_NS and "SIM-M3E" in each.source
    np.testing.assert_allclose(each.camera.k, CAMERA.k, atol=1e-9)
    assert each.read().shape == (48, 64, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_recording_orientation_tag_keeps_the_view_of_every_pixel(tmp_path: Path, orientation: int) -> None:
    """The stored pixels are turned, and the tag turns them back: the same ray shows the same colour."""
    upright = picture()
    turns = {1: 0, 3: 2, 6: 1, 8: 3}
    stored = np.rot90(upright, turns[orientation]).copy()
    height, width = stored.shape[:2]
    k = [[70.0, 0, (width - 1) / 2], [0, 70.0, (height - 1) / 2], [0, 0, 1]]
    camera = CameraModel.of(width, height, k, [], "")
    data = with_tags(jpeg(stored), tags(camera=camera, orientation=orientation))
    (each,) = recording_of(tmp_path, ("a.jpg", data))
    pixels = each.read()
    # In the upright picture, 20 px to the right and 10 px up of its middle.
    x, y = (64 - 1) / 2 + 20, (48 - 1) / 2 - 10
    point_m = each.pose.position_m + 5.0 * np.array([20.0 / 70.0, 1.0, 10.0 / 70.0])
    at = each.camera.project(each.pose.inverse().transform(point_m))[0]
    found = cv2.getRectSubPix(pixels, (1, 1), tuple(at.astype(float)))[0, 0].astype(int)
    wanted = cv2.getRectSubPix(upright, (1, 1), (x, y))[0, 0].astype(int)
    assert np.abs(found - wanted).max() <= 6


def test_recording_camera_on_its_side_needs_no_turn(tmp_path: Path) -> None:
    """The gimbal itself reports the roll of a camera on its side."""
    data = with_tags(jpeg(picture()), tags(roll_deg=90.0, orientation=6))
    (each,) = recording_of(tmp_path, ("a.jpg", data))
    assert each.read().shape == (48, 64, 3)
    # Rolled clockwise, the right of the stored picture points down.
    np.testing.assert_allclose(each.pose.rotation[:, 0], [0, 0, -1], atol=1e-3)


def test_recording_unusable_photographs_are_counted_by_kind(tmp_path: Path) -> None:
    good = with_tags(jpeg(picture()), tags())
    recording = recording_of(
        tmp_path,
        *((f"good{number}.jpg", good) for number in range(3)),
        ("plain.jpg", jpeg(picture())),
        ("no_gimbal.jpg", without(good, "GimbalYawDegree", "GimbalPitchDegree")),
        ("no_fix.jpg", with_tags(jpeg(picture()), tags(latitude_deg=0.0, longitude_deg=0.0))),
        ("south.jpg", with_tags(jpeg(picture()), tags(latitude_deg=95.0))),
        ("far.jpg", with_tags(jpeg(picture()), tags(latitude_deg=PLACE.latitude_deg + 0.2))),
        ("angles.jpg", with_tags(jpeg(picture()), tags(pitch_deg=500.0))),
        ("mirrored.jpg", with_tags(jpeg(picture()), tags(orientation=2))),
        ("thermal.jpg", good.replace(b'AltitudeType="RtkAlt"', b'ImageSource="Thermal"')),
        ("empty.jpg", b""),
        ("text.jpg", b"no picture at all"),
        ("sub/other.jpg", good),
    )
    assert kinds(recording) == {
        "plain.jpg": "no_position",
        "no_gimbal.jpg": "no_direction",
        "no_fix.jpg": "implausible_pose",
        "south.jpg": "implausible_pose",
        "far.jpg": "implausible_pose",
        "angles.jpg": "implausible_pose",
        "mirrored.jpg": "mirrored",
        "thermal.jpg": "thermal",
        "empty.jpg": "damaged",
        "text.jpg": "damaged",
    }
    assert [each.name for each in recording] == ["good0.jpg", "good1.jpg", "good2.jpg"]
    assert set(kinds(recording).values()) <= set(KINDS)


def test_recording_damaged_picture_with_good_tags_fails_when_read(tmp_path: Path) -> None:
    whole = with_tags(jpeg(picture(640, 480)), tags(camera=CameraModel.of(640, 480, CAMERA.k * 10, [], "")))
    (each,) = recording_of(tmp_path, ("a.jpg", whole[: len(whole) // 2]))
    with pytest.raises(Unusable) as problem:
        each.read()
    assert problem.value.kind == "damaged" and str(tmp_path) not in str(problem.value)


def test_recording_gigantic_header_is_refused_before_decoding(tmp_path: Path) -> None:
    data = with_tags(jpeg(picture()), tags())
    at = data.index(b"\xff\xc0") + 5
    recording = recording_of(tmp_path, ("a.jpg", data[:at] + b"\xff\xf0\xff\xf0" + data[at + 4 :]))
    assert kinds(recording) == {"a.jpg": "too_large"}


def test_recording_what_is_no_file_or_has_gigabytes_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(3 << 30)
    assert kinds(open_recording(tmp_path)) == {"pipe.jpg": "damaged", "gone.jpg": "damaged", "sparse.jpg": "too_large"}


@pytest.mark.parametrize("at", range(0, 1500, 37))
def test_recording_damaged_tags_never_end_the_run(tmp_path: Path, at: int) -> None:
    data = bytearray(with_tags(jpeg(picture()), tags()))
    noise = np.random.default_rng(at).integers(0, 256, 24, np.uint8).tobytes()
    data[at : at + len(noise)] = noise
    (tmp_path / "a.jpg").write_bytes(data)
    recording = open_recording(tmp_path, HERE)
    assert len(recording) + len(recording.unusable) == 1
    for cut in (at, at + 3):
        (tmp_path / "a.jpg").write_bytes(data[:cut])
        recording = open_recording(tmp_path, HERE)
        assert len(recording) + len(recording.unusable) == 1


def test_tags_of_recursive_directories_end(tmp_path: Path) -> None:
    # The Exif directory points at the first one, and its count is the largest.
    data = b"II*\x00\x08\x00\x00\x00" + b"\xff\xff" + b"\x69\x87\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00" * 200
    segment = b"Exif\x00\x00" + data
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment)
    assert read_tags(tmp_path / "a.jpg").exif == {}


def test_recording_focal_length_of_tags_is_an_estimate(tmp_path: Path) -> None:
    data = without(with_tags(jpeg(picture()), tags()), "DewarpData")
    recording = recording_of(tmp_path, ("a.jpg", data))
    (each,) = recording
    assert each.camera.focal_px == pytest.approx(70.0, rel=0.03) and each.is_estimated
    assert any("no calibration" in note for note in recording.notes)


def test_recording_dewarped_picture_has_no_distortion(tmp_path: Path) -> None:
    data = with_tags(jpeg(picture()), tags()).replace(b'DewarpFlag="0"', b'DewarpFlag="1"')
    (each,) = recording_of(tmp_path, ("a.jpg", data))
    assert not each.camera.d.any()


def test_recording_heights_without_rtk_are_barometric_in_the_same_datum(tmp_path: Path) -> None:
    fixed = with_tags(jpeg(picture()), tags())
    single = with_tags(jpeg(picture()), tags(rtk_flag=16, absolute_m=900.0, relative_m=31.0, stamp_ns=STAMP_NS + 10**9))
    recording = recording_of(tmp_path, ("a.jpg", fixed), ("b.jpg", single))
    # The fixed one is 30 m above the take-off at 520 m.
    assert [each.pose.position_m[2] for each in recording] == pytest.approx([30.0, 31.0], abs=2e-3)
    assert recording.photographs[1].position_sigma_m[0] > 1.0, "no RTK"
    assert any("uncertain by up to 1.5 m" in note for note in recording.notes)
    assert any("1 heights are those above the take-off, which lies 520.00 m high" in note for note in recording.notes)
    absolute = open_recording(tmp_path, replace(HERE, altitude="absolute"))
    assert np.ptp([each.pose.position_m[2] for each in absolute]) == pytest.approx(350.0, abs=0.1)
    relative = open_recording(tmp_path, RecordingOptions(altitude="relative"))
    assert np.ptp([each.pose.position_m[2] for each in relative]) == pytest.approx(1.0, abs=2e-3)


def test_recording_one_kind_of_height_is_enough(tmp_path: Path) -> None:
    whole = with_tags(jpeg(picture()), tags(rtk_flag=0))
    recording = recording_of(tmp_path, ("a.jpg", without(whole, "RelativeAltitude")))
    assert recording.photographs[0].pose.position_m[2] == pytest.approx(30.0, abs=2e-3)


def test_recording_two_cameras_are_two_sources(tmp_path: Path) -> None:
    wide = CameraModel.of(128, 96, [[140.0, 0, 60.0], [0, 140.0, 48.0], [0, 0, 1]], [], "")
    recording = recording_of(
        tmp_path,
        ("a.jpg", with_tags(jpeg(picture()), tags())),
        ("b.jpg", with_tags(jpeg(picture(128, 96)), tags(camera=wide))),
    )
    assert len({each.source for each in recording}) == 2
    assert any(note.startswith("2 cameras") for note in recording.notes)


def test_recording_photographs_of_one_second_are_spread(tmp_path: Path) -> None:
    files = [(f"{n}.jpg", without(with_tags(jpeg(picture()), tags()), "UTCAtExposure")) for n in range(4)]
    stamps = [each.stamp_ns for each in recording_of(tmp_path, *files)]
    assert np.diff(stamps).tolist() == [250_000_000] * 3


def test_recording_table_camera_of_another_size_is_scaled_or_refused(tmp_path: Path) -> None:
    header = "file,x,y,z,yaw,pitch,roll,fx,width,height\n"
    (tmp_path / "poses.csv").write_text(f"{header}a.jpg,0,0,0,0,0,0,140,128,96\nb.jpg,0,0,0,0,0,0,140,128,128\n")
    recording = recording_of(
        tmp_path, ("a.jpg", jpeg(picture())), ("b.jpg", jpeg(picture())), options=RecordingOptions()
    )
    (each,) = recording
    assert each.camera.focal_px == pytest.approx(70.0) and each.camera.width_px == 64
    assert kinds(recording) == {"b.jpg": "other_size"}


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_recording_other_formats_take_their_pose_from_a_table(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"a{suffix}"), picture())
    (tmp_path / "poses.csv").write_text(f"file,x,y,z,yaw,pitch,roll,fx,width,height\na{suffix},0,0,0,0,0,0,70,64,48\n")
    (each,) = open_recording(tmp_path)
    np.testing.assert_array_equal(each.read(), picture())


def test_recording_laser_range_is_read(tmp_path: Path) -> None:
    data = with_tags(jpeg(picture()), tags()).replace(b'AltitudeType="RtkAlt"', b'LRFTargetDistance="7"')
    (each,) = recording_of(tmp_path, ("a.jpg", data))
    assert each.range_m == 7.0


def test_recording_subfolders_only_where_asked_for(tmp_path: Path) -> None:
    good = with_tags(jpeg(picture()), tags())
    recording = recording_of(tmp_path, ("a.jpg", good), ("left/b.jpg", good), ("._a.jpg", b"fork"))
    assert len(recording) == 1
    assert [each.name for each in open_recording(tmp_path, replace(HERE, recursive=True))] == ["a.jpg", "left/b.jpg"]


def test_recording_results_of_an_earlier_run_are_no_photographs(tmp_path: Path) -> None:
    good = with_tags(jpeg(picture()), tags())
    (tmp_path / "out").mkdir()
    options = replace(HERE, recursive=True, excluded=tmp_path / "out")
    recording = recording_of(
        tmp_path, ("a.jpg", good), ("out/crack_map.photographs/crack-1.jpg", good), options=options
    )
    assert [each.name for each in recording] == ["a.jpg"] and recording.unusable == ()


def test_recording_poses_without_pictures_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"{name}.jpg,0,0,0,0,0,0,70,64,48\n" for name in "abc")
    (tmp_path / "poses.csv").write_text(f"file,x,y,z,yaw,pitch,roll,fx,width,height\n{rows}")
    recording = recording_of(tmp_path, ("a.jpg", jpeg(picture())), options=RecordingOptions())
    assert len(recording) == 1 and any(note.startswith("2 of 3 poses") for note in recording.notes)


def test_recording_without_pictures_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pictures"):
        open_recording(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        open_recording(tmp_path / "nowhere")


@pytest.mark.parametrize("angles", [(10.0, 0.0, 0.0), (-170.0, -35.0, 0.0), (95.0, 60.0, 5.0), (30.0, -90.0, 0.0)])
def test_gimbal_angles_survive_the_tags(angles: tuple[float, float, float]) -> None:
    from crack_perception.photographs.earth import levelled_camera

    found = gimbal_angles_deg(Pose.of([0, 0, 0], levelled_camera(*angles)))
    assert found == pytest.approx(angles, abs=1e-6)
