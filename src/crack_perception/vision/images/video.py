# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading of videos frame by frame with their times, and detection of missing parts."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError, check_text, printable
from crack_perception.vision.images.mp4_samples import announced_frames
from crack_perception.vision.images.stream_checks import DecoderMessages, PacketCheck, promised_bytes

Image = npt.NDArray[np.uint8]

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".ts", ".mts", ".m2ts", ".3gp", ".mpg", ".mpeg", ".wmv"),
    *(".asf", ".flv", ".ogv", ".h264", ".264", ".h265", ".265", ".hevc"),
)

_USUAL_RATE_HZ = 25.0
_MOST_RATE_HZ = 60.0
# Some encoders round the pixel aspect ratio.
_MOST_PIXEL_ASPECT_ERROR = 0.02
# A pause of the source, or a damaged time, is shown for at most this long: it would fill the disk with equal frames.
_LONGEST_SHOWN_S = 30.0
# A container's duration may count the last frame or not, and round its times to milliseconds or to an audio packet.
_TOLERATED_FRAMES = 1.5
_TRANSPORT_PACKET_BYTES = (188, 192, 204)
_TRANSPORT_SYNC = 0x47


def is_video(path: Path) -> bool:
    """Whether a file is a video by its content; by its suffix where that cannot be read or is unknown."""
    try:
        if path.exists() and not path.is_file():  # a pipe without a writer would block for ever
            return False
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError:
        return path.suffix.lower() in VIDEO_SUFFIXES
    if start[4:8] == b"ftyp":
        return start[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx ")
    if start[:4] == b"RIFF":
        return start[8:12] == b"AVI "
    starts = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75", b"FLV\x01", b"OggS", b"\0\0\0\1\x67")
    if start.startswith(starts) or start[4:8] in (b"moov", b"mdat", b"wide"):
        return True
    if any(
        len(start) > offset + 2 * size and all(start[offset + i * size] == _TRANSPORT_SYNC for i in range(3))
        for size in _TRANSPORT_PACKET_BYTES
        for offset in (0, 4)
    ):
        return True
    return path.suffix.lower() in VIDEO_SUFFIXES


class VideoFile:
    """An open video; iterate over it for (presentation time in seconds, BGR frame (H, W, 3)).

    Args:
        path: Of the video.

    Raises:
        UserError: It cannot be opened, or its pixels are not square.

    The iteration ends where the size of the coded pictures changes, see ``missing``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_text(path, "its name")  # OpenCV ends the process on another one
        if not path.is_file():
            raise UserError(f"{path}: no frame could be read, there is no such file", "Check the path")
        self._messages = DecoderMessages()
        with self._messages.collected():
            self._capture = _open_decoder(path)
        if not self._capture.isOpened():
            raise UserError(
                f"{path}: no frame could be read, its header is missing or of an unknown format",
                "Copy it again, or convert it to H.264 in MP4",
            )
        self._check_square_pixels()
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz if 0.0 < rate_hz < float("inf") else _USUAL_RATE_HZ
        self._promised = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._announced = announced_frames(path)
        self._intact = _intact_avi_frames(path)
        with self._messages.collected():
            self._packets = PacketCheck(path)
        self._times_s: list[float] = []
        self._undecoded = 0
        self.number = -1
        """Number of the frame that was read last, those that are missing before it counted where they are known."""

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        with self._messages.collected():
            self._capture.release()
            self._packets.close()

    def __iter__(self) -> Iterator[tuple[float, Image]]:
        first_s: float | None = None
        while True:
            with self._messages.collected():
                is_grabbed = self._capture.grab()
                found, frame = self._capture.retrieve() if is_grabbed else (False, None)
                self._packets.check_next()
            if not is_grabbed or self._packets.has_changed_size:
                break
            if not found or frame is None:
                self._undecoded += 1
                continue
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            number = len(self._times_s)
            if self._intact:
                # The demuxer counts the chunks that it finds, those that cannot be decoded included.
                number = self._intact[min(round(time_s * self.rate_hz), len(self._intact) - 1)]
                time_s = number / self.rate_hz
            first_s = time_s if first_s is None else first_s
            time_s -= min(first_s, 0.0)
            if self._times_s and time_s <= self._times_s[-1]:
                # Containers without times (raw streams, some MPEG) report none or repeat one.
                time_s = self._times_s[-1] + self.step_s
            self._times_s.append(time_s)
            self.number = number
            yield time_s, np.asarray(frame, np.uint8)
        with self._messages.collected():
            while not self._packets.has_changed_size and self._packets.check_next():
                pass

    def _check_square_pixels(self) -> None:
        """Check that the pixels are as wide as high: the width of a crack would depend on its direction.

        Raises:
            UserError: They are not.
        """
        across, along = self._capture.get(cv2.CAP_PROP_SAR_NUM), self._capture.get(cv2.CAP_PROP_SAR_DEN)
        if across > 0 and along > 0 and abs(across / along - 1) > _MOST_PIXEL_ASPECT_ERROR:
            raise UserError(
                f"{self.path}: its pixels are not square ({across:g}:{along:g}), so widths would be wrong",
                "Convert it, for example with 'ffmpeg -i IN -vf scale=iw*sar:ih,setsar=1 OUT'",
            )

    @property
    def step_s(self) -> float:
        """Usual time from one frame to the next."""
        steps = np.diff(self._times_s[-50:])
        return float(median(steps)) if steps.size else 1.0 / self.rate_hz

    @property
    def has_changed_size(self) -> bool:
        """True when the iteration ended because the picture size changes."""
        return self._packets.has_changed_size

    @property
    def missing(self) -> str:
        """Return a description of the missing part of the file; empty if it was read completely."""
        read = len(self._times_s)
        if not read:
            return "no frame could be read"
        if self.has_changed_size:
            return f"read {read} frames, then the size of the pictures changes"
        if self._announced is not None:
            # The container counts its samples, so a gap in their times is one of the camera.
            if read + self._undecoded < self._announced - 1:
                return f"read {read} of {self._announced} frames"
        elif shortfall := self._shortfall_of_times(read):
            return shortfall
        if self._undecoded:
            return f"{self._undecoded} frames could not be decoded"
        size, announced = self.path.stat().st_size, promised_bytes(self.path)
        return f"the file has {size} of {announced} bytes" if size < announced else ""

    def _shortfall_of_times(self, read: int) -> str:
        """Return what is missing by the estimated number of frames and their times; empty if nothing is."""
        is_constant = abs(median(np.diff(self._times_s) if read > 1 else [self.step_s]) * self.rate_hz - 1.0) < 0.1
        if is_constant:
            promised = max(self._promised, self._intact[-1] + 1 if self._intact else 0)
            if read + self._undecoded < promised - 1 or (self._intact and read < promised):
                return f"read {read} of {promised} frames"
            gaps = np.diff(self._times_s)
            lost = int(np.round(gaps[gaps > _TOLERATED_FRAMES / self.rate_hz] * self.rate_hz - 1).sum())
            if lost:
                return f"read {read} of {read + lost} frames"
        else:
            # Of a variable rate the number of frames is an estimate, the duration is not.
            duration_s, end_s = self._promised / self.rate_hz, self._times_s[-1]
            longest_s = float(np.diff(self._times_s).max()) if read > 1 else self.step_s
            if end_s + _TOLERATED_FRAMES * longest_s < duration_s:
                return f"read {end_s:.2f} s of {duration_s:.2f} s ({read} frames)"
        return ""

    @property
    def damage(self) -> str:
        """Why frames read so far may show what the camera did not; empty where nothing points to it."""
        if self._packets.damaged:
            return f"{self._packets.damaged} of its coded frames are damaged"
        if self._messages.count:
            return f"the decoder reported {self._messages.count} errors, first '{printable(self._messages.first, 80)}'"
        return ""


class VideoWriter:
    """Writes frames at their own times to an MP4 of constant rate, repeating those that stay longer, up to 30 s.

    Args:
        path: Of the video.
        rate_hz: Of the source as its header has it; its first two frames may need a higher one.

    Raises:
        UserError: Its name is not UTF-8.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        check_text(path, "the name of the annotated video")  # OpenCV ends the process on another one
        self._path = path
        self._rate_hz = rate_hz if rate_hz <= _MOST_RATE_HZ else 0.0
        self._written = 0
        self._last: Image | None = None
        self._begin_s = self._last_s = 0.0
        self._writer: cv2.VideoWriter | None = None

    def write(self, time_s: float, picture: Image) -> None:
        """Add a frame that is shown from ``time_s`` on; all frames get the size of the first.

        Raises:
            UserError: OpenCV cannot write videos here.
        """
        if self._last is None:
            self._last, self._begin_s, self._last_s = picture, time_s, time_s
            return
        size_px = self._last.shape[1::-1]
        self._begin_s += max(0.0, time_s - self._last_s - _LONGEST_SHOWN_S)
        self._last_s = time_s
        self._repeat_until(time_s)
        self._last = picture if picture.shape[1::-1] == size_px else np.asarray(cv2.resize(picture, size_px), np.uint8)

    def close(self, end_s: float) -> None:
        """Show the last frame until ``end_s``, once at least, and finish the file.

        Raises:
            UserError: OpenCV cannot write videos here, or the file is incomplete.
        """
        self._repeat_until(end_s, at_least_once=True)
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV does not report a full disk.
        if announced_frames(self._path) != self._written:
            self._path.unlink(missing_ok=True)
            raise UserError(
                f"{self._path}: was not written completely (is the disk full?)",
                "Free disk space, or choose a folder on another disk",
            )

    def _open(self, step_s: float, size_px: tuple[int, int]) -> cv2.VideoWriter:
        self._rate_hz = min(max(self._rate_hz, round(1.0 / max(step_s, 1e-3), 3)), _MOST_RATE_HZ)
        writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._rate_hz, size_px)
        if not writer.isOpened():
            raise UserError(
                f"{self._path}: OpenCV cannot write this video", "Check the folder, or install OpenCV with FFmpeg"
            )
        return writer

    def _repeat_until(self, time_s: float, at_least_once: bool = False) -> None:
        if self._last is None:
            return
        time_s -= self._begin_s
        if self._writer is None:
            height, width = self._last.shape[:2]
            self._writer = self._open(time_s, (width, height))
        end = max(round(time_s * self._rate_hz), self._written + at_least_once)
        while self._written < end:
            self._writer.write(self._last)
            self._written += 1


def _open_decoder(path: Path) -> cv2.VideoCapture:
    """Open a video so that it is decoded by the thread that reads it.

    Decoder threads work ahead: they print what they conceal at any time, and to the stderr of this process.
    """
    if hasattr(cv2, "CAP_PROP_N_THREADS"):  # since OpenCV 4.7
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if capture.isOpened():
            return capture
    return cv2.VideoCapture(str(path))


def _intact_avi_frames(path: Path) -> list[int]:
    """Numbers of the frames of an AVI whose chunks are where its index says; empty where all are or it has no index.

    Demuxers skip what is overwritten and number the rest as if nothing were missing.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"RIFF" or data[8:12] != b"AVI ":
                return []
            index, movie = data.rfind(b"idx1"), data.find(b"movi")
            if index < 0 or movie < 0:
                return []
            (size,) = struct.unpack_from("<I", data, index + 4)
            size = min(size, len(data) - index - 8) // 16 * 16
            entries = list(struct.iter_unpack("<4sIII", data[index + 8 : index + 8 + size]))
            frames = [entry for entry in entries if entry[0][2:] in (b"dc", b"db")]
            if not frames:
                return []
            # Offsets count from the list's name, or from the start of the file.
            base = movie if frames[0][2] < movie else 0
            intact = [
                number
                for number, (name, _, offset, length) in enumerate(frames)
                if data[base + offset : base + offset + 8] == name + struct.pack("<I", length)
            ]
            return intact if 0 < len(intact) < len(frames) else []
    except (OSError, ValueError, struct.error):
        return []
