# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Video packets: late joining, lost, damaged and truncated packets, changes of format, formats that are unknown."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")

import av

from crack_perception.vision.images.encodings import BadImage
from crack_perception.vision.images.h264 import FrameNumbers
from crack_perception.vision.images.h265 import ReferencePictures
from crack_perception.vision.images.video_packets import PacketDecoder, VideoPacket, codec_of, is_entry_point, pixels_of

COUNT, GROUP = 12, 5
WIDTH, HEIGHT = 160, 128
ENCODERS = {"h264": "libx264", "h265": "libx265"}


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A wide wall that the camera passes by."""
    rng = np.random.default_rng(1)
    noise = rng.integers(60, 220, (HEIGHT, WIDTH + 4 * COUNT, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def view(scene: np.ndarray, index: int) -> np.ndarray:
    return np.ascontiguousarray(scene[:, 4 * index : 4 * index + WIDTH])


@pytest.fixture(scope="module")
def streams(scene: np.ndarray) -> dict[str, list[bytes]]:
    """Packets of the scene by format; packets 0, 5 and 10 are keyframes."""
    return {name: encoded(scene, encoder) for name, encoder in ENCODERS.items()}


def encoded(scene: np.ndarray, encoder: str, b_frames: int = 0) -> list[bytes]:
    return [data for _, data in encoded_with_numbers(scene, encoder, b_frames, COUNT)]


def encoded_with_numbers(
    scene: np.ndarray, encoder: str, b_frames: int = 2, count: int = 40
) -> list[tuple[int, bytes]]:
    """Return packets with the numbers of their pictures, in the order in which they are sent."""
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.gop_size, context.max_b_frames = Fraction(1, 20), GROUP, b_frames
    tune = {} if b_frames else {"tune": "zerolatency"}
    context.options = {**tune, "preset": "veryfast", "x265-params": "log-level=none", "sc_threshold": "0"}
    packets = []
    for index in [*range(count), None]:
        frame = None
        if index is not None:
            frame = av.VideoFrame.from_ndarray(view(scene, index % COUNT), format="bgr24")
            frame.pts = index
        packets += [(int(packet.pts), bytes(packet)) for packet in context.encode(frame)]
    return packets


def decoded(
    packets: list[tuple[int, bytes]], name: str, scene: np.ndarray | None, is_counted: bool
) -> tuple[list[int], list[str], PacketDecoder]:
    """Return the indices of the pictures, each compared with the scene if there is one, the errors and the decoder."""
    decoder, shown, errors = PacketDecoder(), [], []
    for index, data in packets:
        packet = VideoPacket(data, name, index if is_counted else None)
        try:
            for picture, tag in decoder.decode(packet, index):
                if scene is not None:
                    difference = np.abs(pixels_of(picture).astype(int) - view(scene, tag)).mean()
                    assert difference < 6, f"picture {tag} is smeared"
                shown.append(tag)
        except BadImage as error:
            errors.append(str(error))
    return shown, errors, decoder


@pytest.mark.parametrize("name", ENCODERS)
def test_decode_complete_stream_gives_every_picture_without_delay(
    name: str, streams: dict[str, list[bytes]], scene: np.ndarray
) -> None:
    shown, errors, _ = decoded(list(enumerate(streams[name])), name, scene, True)
    assert shown == list(range(COUNT)) and errors == []


@pytest.mark.parametrize("name", ENCODERS)
def test_decode_late_join_waits_for_a_keyframe_and_counts(
    name: str, streams: dict[str, list[bytes]], scene: np.ndarray
) -> None:
    shown, errors, decoder = decoded(list(enumerate(streams[name]))[2:], name, scene, False)
    assert shown == list(range(GROUP, COUNT))
    assert decoder.skipped == 3 and "no keyframe yet, 3 packets" in errors[-1]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("is_counted", [True, False])
def test_decode_lost_packet_shows_nothing_until_the_next_keyframe(
    name: str, is_counted: bool, streams: dict[str, list[bytes]], scene: np.ndarray
) -> None:
    packets = [item for item in enumerate(streams[name]) if item[0] != 2]
    shown, errors, decoder = decoded(packets, name, scene, is_counted)
    assert shown == [0, 1, *range(GROUP, COUNT)]
    assert decoder.lost == 1 and len(errors) == 2


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("damage", ["truncated", "empty", "zeros"])
def test_decode_damaged_packet_is_reported_and_decoding_goes_on_at_the_next_keyframe(
    name: str, damage: str, streams: dict[str, list[bytes]], scene: np.ndarray
) -> None:
    packets = list(enumerate(streams[name]))
    index, data = packets[1]
    packets[1] = index, {"truncated": data[: len(data) // 3], "empty": b"", "zeros": bytes(len(data))}[damage]
    shown, errors, decoder = decoded(packets, name, scene, True)
    assert shown[-7:] == list(range(GROUP, COUNT)) and not {1} & set(shown)
    assert decoder.damaged >= 1 and "keyframe" in errors[0]


def test_decode_random_bytes_never_raise_anything_else(streams: dict[str, list[bytes]]) -> None:
    rng = np.random.default_rng(2)
    decoder = PacketDecoder()
    for data in streams["h264"] * 3:
        broken = bytearray(data)
        for place in rng.integers(0, len(broken), 6):
            broken[place] = rng.integers(0, 256)
        try:
            for picture, _ in decoder.decode(VideoPacket(bytes(broken), "h264"), None):
                pixels_of(picture)
        except BadImage:
            pass


def test_decode_stream_with_b_frames_keeps_the_tags_of_the_pictures(scene: np.ndarray) -> None:
    packets = encoded(scene, "libx264", b_frames=2)
    decoder, shown = PacketDecoder(), []
    for number, data in enumerate(packets):
        for picture, tag in decoder.decode(VideoPacket(data, "h264"), number):
            shown.append((tag, pixels_of(picture).shape))
    assert len(shown) >= COUNT - 3 and decoder.lost == 0
    assert all(shape == (HEIGHT, WIDTH, 3) for _, shape in shown)


def test_decode_change_of_format_opens_another_decoder(streams: dict[str, list[bytes]]) -> None:
    decoder = PacketDecoder()
    assert len(decoder.decode(VideoPacket(streams["h264"][0], "libx264"), 0)) == 1
    assert len(decoder.decode(VideoPacket(streams["h265"][0], "hevc_nvenc"), 1)) == 1


def test_interrupt_waits_for_the_next_keyframe(streams: dict[str, list[bytes]]) -> None:
    decoder = PacketDecoder()
    decoder.decode(VideoPacket(streams["h264"][0], "h264"), 0)
    decoder.interrupt()
    with pytest.raises(BadImage, match="no keyframe yet"):
        decoder.decode(VideoPacket(streams["h264"][1], "h264"), 1)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("h264", "h264"), ("h264_nvenc", "h264"), ("libx265", "hevc"), ("hevc_vaapi", "hevc"), ("AV1", "av1")],
)
def test_codec_of_names_of_formats_and_encoders(name: str, codec: str) -> None:
    assert codec_of(name) == codec


def test_codec_of_unknown_format_refused_by_name() -> None:
    with pytest.raises(BadImage, match="'theora'"):
        codec_of("theora")


def test_is_entry_point_keyframes_only(streams: dict[str, list[bytes]]) -> None:
    for name, codec in (("h264", "h264"), ("h265", "hevc")):
        entries = [index for index, data in enumerate(streams[name]) if is_entry_point(data, codec)]
        assert entries == [0, 5, 10]
    assert is_entry_point(b"\x00", "vp9") is None


@pytest.mark.parametrize("encoder", ENCODERS.values())
def test_missing_pictures_of_a_stream_with_b_frames_are_noticed_where_others_refer_to_them(
    encoder: str, scene: np.ndarray
) -> None:
    packets = encoded(scene, encoder, b_frames=2)
    check = {"libx264": FrameNumbers, "libx265": ReferencePictures}[encoder]
    complete = check()
    assert [complete.has_gap(data) for data in packets] == [False] * COUNT
    noticed = []
    for lost in range(1, COUNT - 3):
        broken = check()
        gaps = [broken.has_gap(data) for number, data in enumerate(packets) if number != lost]
        _, errors, decoder = decoded([(n, d) for n, d in enumerate(packets) if n != lost], encoder, None, False)
        assert any(gaps) == (decoder.lost > 0) and (decoder.lost > 0) == any("missing" in error for error in errors)
        noticed.append(any(gaps))
    # The pictures that the B frames stand between, at least.
    assert 0.3 * len(noticed) < sum(noticed) < len(noticed)


@pytest.mark.parametrize("encoder", ENCODERS.values())
def test_decode_counts_lost_packets_of_a_stream_with_b_frames_by_their_numbers(encoder: str, scene: np.ndarray) -> None:
    numbered = encoded_with_numbers(scene, encoder)
    for lost in ((), (7,), (9, 12)):
        decoder = PacketDecoder()
        for number, data in numbered:
            if number not in lost:
                with suppress(BadImage):
                    decoder.decode(VideoPacket(data, encoder, number), None)
        assert decoder.lost == len(lost)


@pytest.mark.parametrize(("encoder", "check"), [("libx264", FrameNumbers), ("libx265", ReferencePictures)])
def test_gap_checks_read_from_the_parameters_whether_pictures_are_reordered(
    encoder: str, check: type[FrameNumbers | ReferencePictures], scene: np.ndarray
) -> None:
    for b_frames in (0, 2):
        gaps = check()
        gaps.has_gap(encoded(scene, encoder, b_frames)[0])
        assert gaps.may_reorder == (b_frames > 0)


@pytest.mark.parametrize("name", ["av1", "vp9", "vp8"])
def test_decode_without_numbers_refuses_formats_whose_losses_do_not_show(name: str) -> None:
    with pytest.raises(BadImage, match=rf"lost packets of {name} are not noticed.*send h264"):
        PacketDecoder().decode(VideoPacket(b"\x12\x00", name), 0)
    with pytest.raises(BadImage, match="damaged"):
        PacketDecoder().decode(VideoPacket(b"\x12\x00", name, 0), 0)


def test_reference_pictures_of_damaged_packets_never_raise(streams: dict[str, list[bytes]]) -> None:
    rng = np.random.default_rng(5)
    check = ReferencePictures()
    for data in streams["h265"] * 20:
        broken = bytearray(data)
        for place in rng.integers(0, min(len(broken), 120), 4):
            broken[place] = rng.integers(0, 256)
        check.has_gap(bytes(broken))
    assert ReferencePictures().has_gap(b"\x00\x00\x01\x42\x01" + bytes(3000)) is False


def test_frame_numbers_gap_only_where_a_picture_is_missing(streams: dict[str, list[bytes]]) -> None:
    complete, broken = FrameNumbers(), FrameNumbers()
    assert [complete.has_gap(data) for data in streams["h264"]] == [False] * COUNT
    assert [broken.has_gap(data) for data in streams["h264"][:2] + streams["h264"][3:5]] == [False, False, True, False]
    assert FrameNumbers().has_gap(b"\x00\x00\x01\x67") is False
