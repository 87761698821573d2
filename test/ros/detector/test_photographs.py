# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of cracks that crack_node publishes: what they show and carry, and when none is taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from flying_node import FOCAL_PX, FRAME_ID, HEIGHT_PX, WIDTH_PX, Flight, TakeOff, wall
from patience import wait_for
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.geometry.poses.pose import Pose
from crack_perception.inspection import photograph_chooser
from crack_perception.inspection.evidence import Candidate, candidate_of, lines_of, record
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.evidence.self_describing import photograph_in
from crack_perception.ros.common import qos
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector import photographer as photographing
from crack_perception.ros.detector.photographer import Photographer
from crack_perception.vision.lines.line import CrackLine

RANGE_M = 2.0
GSD_MM = 1000 * RANGE_M / FOCAL_PX


def listen(flight: Flight) -> Flight:
    flight.in_peer(lambda: flight._listen(CompressedImage, "evidence", qos.PHOTOGRAPHS))
    flight.start()
    flight.wait_for_listener("evidence")
    return flight


def sent(flight: Flight, count: int) -> list[Photograph]:
    flight.wait(lambda: len(flight.received["evidence"]) >= count)
    return [photograph_in(message.data.tobytes()) for message in flight.received["evidence"]]


def decided(flight: Flight, frames: int) -> None:
    """Wait until this number of frames was processed, photographs included."""
    flight.wait(lambda: flight.node._statistics.snapshot(time.monotonic()).processed >= frames)
    photographer = flight.node._worker._photographer
    flight.wait(lambda: not photographer._chosen.is_waiting)


def test_node_photograph_shows_the_crack_and_carries_its_record(take_off: TakeOff) -> None:
    flight = listen(take_off())
    frame = wall()
    stamp = flight.fly_one_frame(range_m=RANGE_M, frame=frame)
    (photograph,) = sent(flight, 1)
    (message,) = flight.received["evidence"]
    assert message.header.stamp == stamp and message.header.frame_id == FRAME_ID and "jpeg" in message.format
    picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    left, top = photograph.offset_px
    width, height = photograph.size_px
    assert picture.shape == (height, width, 3)
    difference = picture.astype(int) - frame[top : top + height, left : left + width]
    assert np.abs(difference).mean() < 3.0, "the camera's own pixels, nothing drawn in"
    assert photograph.stamp_ns == stamp_ns(stamp) and photograph.source == "/crack_node"
    assert photograph.model == flight.node._detector.model.name
    assert photograph.model_sha256 == flight.node._detector.model.sha256
    assert photograph.map_frame == "map" and photograph.camera_frame == FRAME_ID
    assert photograph.gsd_mm_per_px == pytest.approx(GSD_MM, rel=0.02) and photograph.obliquity_deg < 5.0
    assert photograph.completeness == 1.0 and 0.0 < photograph.sharpness <= 1.0 and photograph.score > 0.9
    np.testing.assert_allclose(photograph.position_m, [0.0, 0.0, 1.0], atol=1e-6)
    line = photograph.lines[0]
    assert np.abs(line.points_px[:, 1] + top - 119.0).max() < 1.0, "on the dark row"
    assert np.ptp(line.points_px[:, 0]) == pytest.approx(240, rel=0.06)
    assert np.nanmedian(line.width_mm) == pytest.approx(3 * GSD_MM, rel=0.15)
    # Pose and intrinsics take the line's vertices in the map back to its pixels.
    pose = Pose.of(photograph.position_m, photograph.orientation_xyzw)
    x, y, z = pose.inverse().transform(line.points_m).T
    fx, fy, cx, cy = photograph.intrinsics_px
    np.testing.assert_allclose(np.column_stack([fx * x / z + cx, fy * y / z + cy]), line.points_px, atol=0.05)


def test_node_frames_that_improve_nothing_are_not_sent(take_off: TakeOff) -> None:
    flight = listen(take_off())
    for _ in range(8):
        flight.fly_one_frame(range_m=RANGE_M)
    sent(flight, 1)
    decided(flight, 8)
    assert len(flight.received["evidence"]) == 1, "frames of half a second"
    flight._next_stamp_ns += 300_000_000
    flight.fly_one_frame(range_m=0.4 * RANGE_M)
    nearer = sent(flight, 2)[1]
    assert nearer.gsd_mm_per_px == pytest.approx(0.4 * GSD_MM, rel=0.02)
    figures = flight.figures()
    assert figures["photographs_sent"] == "2" and float(figures["photographs_sent_mb"]) >= 0.0


@pytest.mark.parametrize("case", ["switched off", "no subscriber", "no pose", "no range", "no crack"])
def test_node_takes_no_photograph(take_off: TakeOff, case: str) -> None:
    flight = take_off(evidence=case != "switched off", pose_source="none" if case == "no pose" else "auto")
    if case == "no subscriber":
        flight.start()
    else:
        listen(flight)
    arguments: dict[str, Any] = {"range_m": None} if case == "no range" else {"range_m": RANGE_M}
    for _ in range(3):
        flight.fly_one_frame(**arguments, frame=wall(crack=case != "no crack"))
    decided(flight, 3)
    figures = flight.figures()
    assert (figures["photographs_sent"], figures["photographs_skipped"]) == ("0", "0")
    assert not flight.received["evidence"]


def test_node_new_subscriber_gets_what_was_sent_before(take_off: TakeOff) -> None:
    flight = listen(take_off())
    flight.fly_one_frame(range_m=RANGE_M)
    sent(flight, 1)
    flight.in_peer(lambda: flight._listen(CompressedImage, "evidence", qos.PHOTOGRAPHS))
    flight.wait(lambda: flight.node._publisher.photograph_viewers() == 2)
    flight._next_stamp_ns += 300_000_000
    flight.fly_one_frame(range_m=RANGE_M)
    sent(flight, 3)  # the second one was heard twice


class Outlet:
    """Keeps what a photographer publishes."""

    def __init__(self) -> None:
        self.messages: list[CompressedImage] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def is_open(self) -> bool:
        return True

    def photograph_viewers(self) -> int:
        return 1

    def publish_photograph(self, message: CompressedImage) -> None:
        self.messages.append(message)
        self.go_on.wait(60.0)


CAMERA = CameraModel.of(2000, 1500, [1500, 0, 999.5, 0, 1500, 749.5, 0, 0, 1], [], "")
LOOKING_ALONG_X = Pose.of([0.0, 0.0, 1.0], [-0.5, 0.5, -0.5, 0.5])


Pixel = tuple[float, float]
Lines = tuple[CrackLine, LiftedLine]


def line(start_px: Pixel, end_px: Pixel, zoom: float = 1.0) -> Lines:
    """A line in the image of CAMERA, and on the wall at 2 m that it looks at, where a pixel is 1.33 mm / zoom."""
    range_m = 2.0
    points_px = np.linspace(start_px, end_px, 60)
    rays = np.column_stack([(points_px - [999.5, 749.5]) / 1500.0, np.ones(60)])
    points_m = LOOKING_ALONG_X.transform(range_m * rays)
    gsd = np.full(60, range_m / 1.5 / zoom)
    steps_m = np.full(60, float(np.linalg.norm(points_m[1] - points_m[0])))
    width = np.full(60, 3.0)
    return CrackLine(points_px, width, 0.1 * width, 20.0), LiftedLine(
        points_m, np.array([-1.0, 0.0, 0.0]), width * gsd, width * 0.1, gsd, np.full(60, 0.02), steps_m, 0
    )


def frame_with(
    *lines: tuple[CrackLine, LiftedLine], seconds: float = 0.0, is_measured: bool = True, **changes: Any
) -> Any:
    """A processed frame; ``changes`` are settings."""
    values = {"evidence": True, "evidence_quality": 90, "evidence_max_bytes_s": 1e6, "map_frame": "map"} | changes
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 1_700_000_000 + int(seconds), round(1e9 * (seconds % 1))
    detections = [
        SimpleNamespace(
            lines=(image,),
            map_lines=(lifted,),
            is_measured=is_measured,
            patch=SimpleNamespace(gsd_mm_per_px=float(lifted.gsd_mm_per_px[0]), incidence_rad=0.0),
            crack=SimpleNamespace(region=SimpleNamespace(score=0.9)),
        )
        for image, lifted in lines
    ]
    picture = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)
    return SimpleNamespace(
        header=header,
        frame=picture,
        detections=detections,
        camera=CAMERA,
        pose=LOOKING_ALONG_X,
        settings=SimpleNamespace(**values),
        camera_frame=header.frame_id,
        map_frame=values.get("map_frame", ""),
    )


def candidates(result: Any, turn: int) -> list[Candidate]:
    return [each for line in lines_of(result, turn) if (each := candidate_of(result, line)) is not None]


SHORT = line((900.0, 700.0), (1100.0, 720.0))


@pytest.fixture
def make() -> Any:
    made: list[Photographer] = []

    def photographer(outlet: Outlet, has_backlog: Callable[[], bool] = lambda: False) -> Photographer:
        made.append(Photographer(outlet, "/crack_node", "m", "0" * 64, has_backlog, Health(pytest.fail)))
        made[-1].start()
        return made[-1]

    yield photographer
    for each in made:
        each.stop()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((SHORT,), 1.0),
        ((line((3.0, 700.0), (300.0, 720.0)),), 0.7),
        ((line((900.0, 700.0), (1100.0, 1496.0)),), 0.7),
        ((line((100.0, 700.0), (1900.0, 720.0)),), 1280 / 1800),
    ],
)
def test_candidate_completeness(lines: Any, expected: float) -> None:
    (candidate,) = candidates(frame_with(*lines), 1)
    assert candidate.completeness == pytest.approx(expected, abs=0.03)
    (partly,) = candidates(frame_with(*lines, is_measured=False), 1)
    assert partly.completeness == pytest.approx(0.7 * candidate.completeness)
    left, top, right, bottom = candidate.window
    assert 0 <= left < right <= 2000 and 0 <= top < bottom <= 1500 and max(right - left, bottom - top) <= 1280
    assert candidate.picture.shape == (bottom - top, right - left, 3)


def test_candidates_small_image_is_taken_whole() -> None:
    small = frame_with(line((100.0, 100.0), (200.0, 120.0)))
    small.frame = small.frame[:HEIGHT_PX, :WIDTH_PX]
    (candidate,) = candidates(small, 1)
    assert candidate.window == (0, 0, WIDTH_PX, HEIGHT_PX)


def test_candidates_of_many_lines_take_turns() -> None:
    many = frame_with(*(line((900.0, 20.0 + 60 * row), (1100.0, 30.0 + 60 * row)) for row in range(20)))
    seen = {round(float(each.line.image.points_px[0, 1])) for turn in range(5) for each in candidates(many, turn)}
    assert len(candidates(many, 1)) == 8 and len(seen) == 20


def test_record_has_the_lines_that_the_photograph_shows() -> None:
    beside, outside = line((900.0, 760.0), (1100.0, 780.0)), line((100.0, 100.0), (300.0, 100.0))
    crossing = line((1000.0, 720.0), (1000.0, 1400.0))
    candidate = candidates(frame_with(SHORT, beside, outside, crossing), 0)[0]
    photograph = record(candidate, 0.5, 1, "/crack_node", "m", "0" * 64)
    assert len(photograph.lines) == 3
    np.testing.assert_allclose(photograph.lines[0].points_px + photograph.offset_px, SHORT[0].points_px, atol=0.01)
    for each in photograph.lines:
        assert len(each.points_px) == len(each.points_m) == len(each.width_mm)
        assert (each.points_px >= 0).all() and (each.points_px < photograph.size_px).all()
    assert photograph.quality == pytest.approx(candidate.quality(0.5))


def test_photographer_with_a_backlog_spends_a_small_share_of_its_time(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet = Outlet()
    photographer = make(outlet, lambda: True)
    monkeypatch.setattr(photographing, "_PAUSE", 1e9)
    for number in range(5):
        approaching = line((900.0, 700.0), (1100.0, 720.0), 2.0**number)
        photographer.consider(frame_with(approaching, seconds=2.0 * number))
        wait_for(lambda number=number: photographer.figures.sent + photographer.figures.skipped == number + 1)
    assert (photographer.figures.sent, photographer.figures.skipped) == (1, 4)
    assert photographer._paused_until_s > time.monotonic() + 1e5


def test_photographer_keeps_the_data_rate(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographing, "_LEAST_BURST_BYTES", 600_000)
    outlet = Outlet()
    photographer = make(outlet)
    began_s = time.monotonic()
    for number in range(12):
        approaching = line((400.0, 300.0), (1600.0, 1200.0), 1.6**number)
        photographer.consider(frame_with(approaching, seconds=2.0 * number, evidence_max_bytes_s=50_000.0))
        wait_for(lambda number=number: photographer.figures.sent + photographer.figures.skipped == number + 1)
    most = max(len(message.data) for message in outlet.messages)
    allowed = 960_000 + most + 50_000 * (time.monotonic() - began_s)
    assert 0 < sum(len(message.data) for message in outlet.messages) <= allowed
    assert photographer.figures.skipped > 0


def test_photograph_too_large_is_encoded_with_less_quality(make: Any) -> None:
    outlet = Outlet()
    photographer = make(outlet)
    photographer.consider(frame_with(line((400.0, 200.0), (1600.0, 1300.0)), evidence_quality=100))
    wait_for(lambda: photographer.figures.sent == 1)
    (message,) = outlet.messages
    # Noise is the worst picture there is: at quality 100 more than 3 MB.
    assert len(message.data) < 1_200_000


def test_photographer_blurred_frame_waits_for_a_sharper_one(make: Any) -> None:
    outlet = Outlet()
    photographer = make(outlet)
    for number in range(3):
        photographer.consider(frame_with(SHORT, seconds=2.0 * number))
        wait_for(lambda number=number: photographer.figures.sent == number + 1)
    blurred = frame_with(line((900.0, 700.0), (1100.0, 720.0), 1.5), seconds=10.0)
    blurred.frame = cv2.GaussianBlur(blurred.frame, (0, 0), 6.0)
    photographer.consider(blurred)
    wait_for(lambda: photographer.figures.blurred == 1)
    photographer.consider(frame_with(line((900.0, 700.0), (1100.0, 720.0), 1.5), seconds=10.3))
    wait_for(lambda: photographer.figures.sent == 4)
    assert photograph_in(outlet.messages[-1].data.tobytes()).sharpness > 0.5


def test_photographer_line_without_gain_is_compared_once_a_second(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    photographer = make(Outlet())
    compared: list[float] = []
    measure = photograph_chooser.candidate_of
    monkeypatch.setattr(
        photograph_chooser, "candidate_of", lambda result, line: compared.append(0.0) or measure(result, line)
    )
    for number in range(60):
        photographer.consider(frame_with(SHORT, seconds=20.0 + 0.2 * number))
        wait_for(lambda: not photographer._chosen.is_waiting)
    assert len(compared) <= 20
    before = len(compared)
    photographer.consider(frame_with(line((900.0, 700.0), (1100.0, 720.0), 2.0), seconds=40.0))
    assert len(compared) == before + 1, "a better view is compared at once"


def test_photographer_considers_three_frames_a_second(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    photographer = make(Outlet())
    considered: list[float] = []
    find = photograph_chooser.lines_of
    monkeypatch.setattr(
        photograph_chooser, "lines_of", lambda result, turn: considered.append(0.0) or find(result, turn)
    )
    for number in range(60):
        photographer.consider(frame_with(SHORT, seconds=number / 30))
    assert 6 <= len(considered) <= 7
    photographer.consider(frame_with(SHORT, seconds=-100.0))
    assert 7 <= len(considered) <= 8, "time that is set back does not stop it"


def test_photographer_never_delays_the_frames(make: Any) -> None:
    outlet = Outlet()
    outlet.go_on.clear()
    photographer = make(outlet)
    photographer.consider(frame_with(SHORT))
    wait_for(lambda: bool(outlet.messages))
    began_s = time.monotonic()
    for number in range(5):
        photographer.consider(
            frame_with(line((900.0, 100.0 * number), (1100.0, 100.0 * number + 10)), seconds=1 + number)
        )
    assert time.monotonic() - began_s < 30.0, "publishing hangs, and nobody waits for it"
    assert photographer.figures.skipped == 4
    outlet.go_on.set()
