# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of video files: recognition by content, times, and missing frames."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.vision.images.coded_size import coded_size
from crack_perception.vision.images.mp4_samples import announced_frames
from crack_perception.vision.images.video import VideoFile, VideoWriter, is_video

SIZE_PX = (160, 120)


def write_video(path: Path, frames: int = 20, codec: str = "MJPG", rate_hz: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate_hz, SIZE_PX)
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    random = np.random.default_rng(4)
    for number in range(frames):
        frame = random.integers(0, 256, (SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
        frame[:, :80] = 10 * number
        writer.write(frame)
    writer.release()
    return path


def read(path: Path) -> tuple[list[float], list[int], list[int], str]:
    """Return times, numbers and grey levels (in steps of ten) of the frames, and the missing part."""
    times, numbers, levels = [], [], []
    with VideoFile(path) as video:
        for time_s, frame in video:
            times.append(time_s)
            numbers.append(video.number)
            levels.append(round(float(frame[:, :70].mean()) / 10))
        return times, numbers, levels, video.missing


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mkv", "MJPG")])
def test_video_file_whole_lacks_nothing(tmp_path: Path, name: str, codec: str) -> None:
    times, numbers, _, missing = read(write_video(tmp_path / name, codec=codec))
    assert times == pytest.approx([number / 25 for number in range(20)], abs=2e-3)
    assert numbers == list(range(20))
    assert missing == ""


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_video_file_cut_reports_how_much_was_read(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    times, _, _, missing = read(path)
    assert 5 < len(times) < 15
    assert missing == f"read {len(times)} of 20 frames"


def test_video_file_hole_keeps_the_times_after_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi")
    data = bytearray(path.read_bytes())
    start, length = len(data) * 4 // 10, len(data) // 5
    data[start : start + length] = bytes(length)
    path.write_bytes(data)
    times, numbers, levels, missing = read(path)
    assert missing == f"read {len(times)} of 20 frames"
    assert len(times) < 19
    after = numbers.index(next(number for place, number in enumerate(numbers) if number != place))
    assert 0 < after < len(numbers)
    assert numbers[after:] == levels[after:]
    assert times == pytest.approx([number / 25 for number in numbers])


def test_is_video_content_decides_not_the_name(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi").rename(tmp_path / "a.dat")
    assert is_video(video)
    picture = tmp_path / "b.dat"
    picture.write_bytes(cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes())
    assert not is_video(picture)
    text = tmp_path / "c.txt"
    text.write_text("no video" * 200)
    assert not is_video(text)
    assert is_video(tmp_path / "missing.MTS")


@pytest.mark.parametrize("packet", [188, 192])
def test_is_video_transport_stream_is_recognised(tmp_path: Path, packet: int) -> None:
    path = tmp_path / "a.bin"
    stream = bytearray(packet * 6)
    stream[(packet - 188) :: packet] = b"\x47" * 6
    path.write_bytes(stream)
    assert is_video(path)


def test_video_file_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(UserError, match="no frame could be read"):
        VideoFile(path)
    with pytest.raises(UserError, match="there is no such file"):
        VideoFile(tmp_path / "missing.mp4")


def test_video_writer_variable_rate_is_as_long_as_its_source(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    times_s = [0.04 * number for number in range(10)] + [0.4 + 0.5 * number for number in range(10)]
    writer = VideoWriter(path, 1000.0)
    for number, time_s in enumerate(times_s):
        writer.write(time_s, np.full((120, 160, 3), 10 * number, np.uint8))
    writer.close(times_s[-1] + 0.5)
    with VideoFile(path) as video:
        levels = [float(frame.mean()) / 10 for _, frame in video]
        assert len(levels) / video.rate_hz == pytest.approx(5.4, abs=0.05)
        assert levels[round(0.4 * video.rate_hz)] == pytest.approx(10, abs=0.5)
        assert levels[round(2.5 * video.rate_hz)] == pytest.approx(14, abs=0.5)


def replace(path: Path, start: int, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[start : start + len(content)] = content
    path.write_bytes(data)


def damage_of(path: Path) -> str:
    with VideoFile(path) as video:
        assert len(list(video)) == 20
        assert video.missing == ""
        return video.damage


def test_video_file_whole_reports_no_damage(tmp_path: Path) -> None:
    for name, codec in (("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mkv", "mp4v")):
        assert damage_of(write_video(tmp_path / name, codec=codec)) == ""


@pytest.mark.parametrize("content", [bytes(300), b"\xa5" * 300])
def test_video_file_concealed_damage_is_reported(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / "a.mp4", codec="mp4v")
    replace(path, path.stat().st_size // 2, content)
    assert damage_of(path)
    assert capfd.readouterr().err == ""


def test_video_file_damaged_motion_jpeg_is_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi")
    data = path.read_bytes()
    scan = data.index(b"\xff\xda", len(data) // 2)
    replace(path, scan + 200, bytes(1000))
    assert damage_of(path) == "1 of its coded frames are damaged"


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_video_file_short_of_a_few_bytes_is_incomplete(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-100])
    assert read(path)[3] == f"the file has {size - 100} of {size} bytes"


def write_timed(path: Path, moments: list[int], **container: str) -> Path:
    """Write frames at these multiples of 1/30 s."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=container) as output:
        stream = output.add_stream("mpeg4", rate=30)
        stream.width, stream.height = SIZE_PX
        stream.codec_context.time_base = Fraction(1, 30)
        for moment in moments:
            frame = av.VideoFrame.from_ndarray(np.full((SIZE_PX[1], SIZE_PX[0], 3), moment, np.uint8), format="bgr24")
            frame.pts, frame.time_base = moment, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("skipped", [{40}, {40, 41}, {10, 30, 31, 50}, set(range(20, 60))])
def test_video_file_camera_that_skipped_frames_lacks_nothing(tmp_path: Path, name: str, skipped: set[int]) -> None:
    moments = [moment for moment in range(90) if moment not in skipped]
    times, _, _, missing = read(write_timed(tmp_path / name, moments))
    assert times == pytest.approx([moment / 30 for moment in moments], abs=2e-3)
    assert missing == ""


@pytest.mark.parametrize("skipped", [set(), {40}])
def test_video_file_mp4_cut_is_incomplete_by_its_sample_count(tmp_path: Path, skipped: set[int]) -> None:
    moments = [moment for moment in range(90) if moment not in skipped]
    path = write_timed(tmp_path / "a.mp4", moments, movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    times, _, _, missing = read(path)
    assert len(times) < len(moments) - 5
    assert missing == f"read {len(times)} of {len(moments)} frames"


def test_video_file_hole_in_matroska_is_noticed_by_its_times(tmp_path: Path) -> None:
    whole = [moment for moment in range(90) if not 40 <= moment < 50]
    assert read(write_timed(tmp_path / "a.mkv", whole))[3] == "read 80 of 90 frames"


def test_announced_frames_counts_samples_inside_the_edit_list(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mp4", list(range(90)))
    assert announced_frames(path) == 90
    data = bytearray(path.read_bytes())
    edit = data.index(b"elst") + 12
    duration, start = struct.unpack_from(">Ii", data, edit)
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    # Only the second of the three seconds is shown.
    struct.pack_into(">Ii", data, edit, duration // 3, start + scale)
    path.write_bytes(data)
    assert announced_frames(path) == pytest.approx(29, abs=1)
    times, _, _, missing = read(path)
    assert len(times) == pytest.approx(30, abs=1)
    assert missing == ""


def test_announced_frames_of_other_or_damaged_files_is_unknown(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mp4", list(range(10)), movflags="frag_keyframe+empty_moov")
    assert announced_frames(path) is None
    assert announced_frames(write_timed(tmp_path / "a.mkv", list(range(10)))) is None
    whole = write_timed(tmp_path / "b.mp4", list(range(10))).read_bytes()
    for name in (b"stts", b"stsz", b"mvhd", b"trak", b"moov"):
        start = whole.index(name)
        for content in (b"\xff" * 12, bytes(12)):
            path.write_bytes(whole[: start + 4] + content + whole[start + 16 :])
            assert announced_frames(path) in (None, 0, 10), name
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert announced_frames(path) in (None, 10)


def write_coded(path: Path, size_px: tuple[int, int], codec: str, aspect: Fraction | None = None) -> Path:
    """Write five random frames of this size."""
    av = pytest.importorskip("av")
    random = np.random.default_rng(3)
    try:
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height = size_px
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            for _ in range(5):
                pixels = random.integers(0, 256, (size_px[1], size_px[0], 3), dtype=np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
            output.mux(stream.encode())
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no {codec}")
    return path


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "h264"), ("libx265", "hevc"), ("libx264", "ts")])
def test_video_file_ends_where_the_size_of_its_pictures_changes(tmp_path: Path, codec: str, suffix: str) -> None:
    whole = tmp_path / f"joined.{suffix}"
    parts = [write_coded(tmp_path / f"{size[0]}.{suffix}", size, codec) for size in ((320, 240), (160, 128))]
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    times, _, _, missing = read(whole)
    assert len(times) == 5
    assert missing == "read 5 frames, then the size of the pictures changes"
    twice = tmp_path / f"twice.{suffix}"
    twice.write_bytes(2 * parts[0].read_bytes())
    assert len(read(twice)[0]) == 10


@pytest.mark.parametrize(
    ("codec", "code", "stated"),
    [
        ("libx264", b"h264", (176, 144)),
        ("libx265", b"hevc", (168, 136)),
        ("libvpx", b"VP80", (162, 130)),
        ("libvpx-vp9", b"VP90", (162, 130)),
    ],
)
def test_coded_size_of_a_keyframe_is_that_of_its_pictures(
    tmp_path: Path, codec: str, code: bytes, stated: tuple[int, int]
) -> None:
    av = pytest.importorskip("av")
    path = write_coded(tmp_path / ("a.ts" if "x26" in codec else "a.webm"), (162, 130), codec)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert coded_size(packets[0], code) == stated
    assert coded_size(packets[1], code) is None
    assert coded_size(packets[0][:7], code) is None
    assert coded_size(packets[0], b"mp4v") is None


def test_video_file_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    assert len(read(write_coded(tmp_path / "a.mp4", (160, 128), "libx264", Fraction(1)))[0]) == 5
    with pytest.raises(UserError, match=r"not square \(4:3\)"):
        VideoFile(write_coded(tmp_path / "b.mp4", (160, 128), "libx264", Fraction(4, 3)))


def test_video_writer_long_pause_does_not_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = VideoWriter(path, 10.0)
    for number, time_s in enumerate((0.0, 0.1, 90_000.0, 90_000.1)):
        writer.write(time_s, np.full((120, 160, 3), 50 * number, np.uint8))
    writer.close(90_000.2)
    with VideoFile(path) as video:
        levels = [float(frame.mean()) for _, frame in video]
    assert len(levels) == pytest.approx(30 * 10 + 3, abs=2)
    assert levels[-1] == pytest.approx(150, abs=5)
