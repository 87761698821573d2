# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Join a flight log and a video into a bag, which replay and the nodes can then use."""

from __future__ import annotations

import heapq
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crack_perception.errors import UsageError, UserError, file_error
from crack_perception.evaluation.recordings.px4_log import Px4Log, read_px4_log
from crack_perception.geometry.camera.calibration_file import read_camera_file
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL, from_euler, multiply
from crack_perception.simulation.flight.bag_writer import BASE_FRAME, FlightBag
from crack_perception.vision.images.encodings import encode_jpeg
from crack_perception.vision.images.video import VideoFile

DAMAGED = "damaged videos"
"""Count of ``join`` for a video that is incomplete or damaged."""

_RANGE_RELATIVE_SIGMA = 0.01
_LATCHED_LEAD_NS = 1_000_000

_Event = tuple[int, int, Callable[[FlightBag], None]]


@dataclass(frozen=True)
class JoinOptions:
    """Options of a join.

    Attributes:
        log, video, camera: ULog, video and calibration file (YAML).
        out: Folder of the bag.
        offset_s: Time of the video's first frame after the start of the log [s]; may be negative.
        mount_m: Position of the camera on the body: forward, left, up [m].
        mount_deg: Roll, pitch and yaw of the camera on the body [deg]; zero looks forward.
        orientation: Direction of the distance sensor that is used (MAV_SENSOR_ORIENTATION).
        rate_hz: Most images a second; 0: all.
        quality: JPEG quality of the images.
        force: Replace an existing bag.
    """

    log: Path
    video: Path
    camera: Path
    out: Path
    offset_s: float = 0.0
    mount_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mount_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orientation: int = 0
    rate_hz: float = 0.0
    quality: int = 92
    force: bool = False


def join(options: JoinOptions, progress: Callable[[str], None]) -> dict[str, int]:
    """Write the bag; return the number of images, poses and ranges, and of ``DAMAGED`` if the video is.

    Raises:
        UserError: An input cannot be read, video and log do not overlap, or the bag cannot be written.
        UsageError: An option is out of its range.
    """
    if not math.isfinite(options.offset_s) or not 0 <= options.rate_hz < math.inf or not 1 <= options.quality <= 100:
        raise UsageError("the offset, rate or quality is out of range", "Give seconds, images a second and 1 to 100")
    if options.out.exists() and not options.force:
        raise UserError(f"{options.out}: exists", "Choose another folder, or replace it with --force")
    camera = read_camera_file(options.camera)
    log = read_px4_log(options.log, options.orientation)
    for note in log.notes:
        progress(f"note: {note}")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=f".{options.out.name}.") as folder:
            path = Path(folder) / options.out.name
            counts = _write(options, log, camera, path, progress)
            if options.out.exists():
                shutil.rmtree(options.out)
            path.rename(options.out)
    except OSError as error:
        raise file_error(options.out, error, "Choose another folder with --out") from error
    return counts


def _write(
    options: JoinOptions, log: Px4Log, camera: CameraModel, path: Path, progress: Callable[[str], None]
) -> dict[str, int]:
    body_from_camera = Pose.of(
        options.mount_m, multiply(from_euler(*map(math.radians, options.mount_deg)), FORWARD_LOOKING_OPTICAL)
    )
    body_from_range = Pose.of(options.mount_m, from_euler(*map(math.radians, options.mount_deg)))
    counts = {"images": 0, "poses": 0, "ranges": 0}

    def poses() -> Iterator[_Event]:
        for stamp, pose in zip(log.stamps_ns.tolist(), log.poses, strict=True):
            counts["poses"] += 1
            yield stamp, 0, partial(FlightBag.pose, stamp_ns=stamp, map_from_base=pose, base_from_gimbal=None)

    def ranges() -> Iterator[_Event]:
        for stamp, range_m in zip(log.range_stamps_ns.tolist(), log.ranges_m.tolist(), strict=True):
            counts["ranges"] += 1
            yield (
                stamp,
                1,
                partial(FlightBag.range, stamp_ns=stamp, range_m=range_m, sigma_m=_RANGE_RELATIVE_SIGMA * range_m),
            )

    def images(video: VideoFile) -> Iterator[_Event]:
        first, last = int(log.stamps_ns[0]), int(log.stamps_ns[-1])
        previous_s = -math.inf
        for time_s, frame in video:
            stamp = log.start_ns + round(1e9 * (options.offset_s + time_s))
            if not first <= stamp <= last or (options.rate_hz and time_s - previous_s < 1.0 / options.rate_hz - 1e-6):
                continue
            size = (frame.shape[1], frame.shape[0])
            if size != (camera.width_px, camera.height_px):
                raise UserError(
                    f"{options.video}: has {size[0]}x{size[1]} px, not {camera.width_px}x{camera.height_px} px",
                    "Give the calibration of this video's size",
                )
            previous_s = time_s
            counts["images"] += 1
            jpeg = encode_jpeg(frame, options.quality)
            yield stamp, 2, partial(FlightBag.camera_info, stamp_ns=stamp, camera=camera)
            yield stamp, 3, partial(FlightBag.compressed_image, stamp_ns=stamp, jpeg=jpeg)

    with VideoFile(options.video) as video, FlightBag(path) as bag:
        bag.mounts(int(log.stamps_ns[0]) - _LATCHED_LEAD_NS, BASE_FRAME, body_from_camera, body_from_range)
        for _, _, write in heapq.merge(poses(), ranges(), images(video), key=lambda event: event[:2]):
            write(bag)
        lost = video.missing or video.damage
    if not counts["images"]:
        seconds = (int(log.stamps_ns[-1]) - log.start_ns) / 1e9
        raise UserError(
            f"no image of {options.video} has a pose in {options.log}, which ends {seconds:.1f} s after its start",
            "Check --video-offset, the time of the video's first frame after the start of the log",
        )
    if lost:
        progress(f"problem: {options.video}: {lost}. Copy it again; the frames that were read are in the bag")
        counts[DAMAGED] = 1
    return counts
