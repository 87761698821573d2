# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulate a flight: from settings to a bag with ground truth."""

from __future__ import annotations

import heapq
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.interrupts import uninterrupted
from crack_perception.simulation.camera.rendering import CameraRenderer
from crack_perception.simulation.camera.sensor import (
    Sensor,
    SensorSettings,
    automatic_gain,
    exposure_drift,
    through_jpeg,
)
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.bag_writer import BASE_FRAME, CAMERA_FRAME, GIMBAL_FRAME, MAP_FRAME, FlightBag
from crack_perception.simulation.flight.measurements import dropouts, noisy_poses
from crack_perception.simulation.flight.plan import GIMBAL_LEVER_M, FlightPlan, plan_flight
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.truth import (
    FILE_NAME,
    Truth,
    TruthCamera,
    TruthFrame,
    VisibleCrack,
    write_truth,
)
from crack_perception.vision.images.encodings import encode_jpeg

# A fixed start time, so that the same seed gives the same bytes.
START_NS = 1_700_000_000_000_000_000

POSE_HZ = 50.0
RANGE_HZ = 20.0
# Sensors are not synchronised: their samples do not coincide with the images.
_POSE_OFFSET_S = 0.007
_RANGE_OFFSET_S = 0.003
_BEFORE_AND_AFTER_S = 0.2
_COMPRESSED_QUALITY = 90
# Shortest and longest outage of the pose estimator.
_POSE_OUTAGE_S = (0.5, 2.0)

Progress = Callable[[int, int], None]
_Event = tuple[int, int, Callable[[FlightBag], None]]


class Flight:
    """Planned flight with its camera: exact poses, ground truth and rendered images.

    Args:
        settings: Settings of the flight.
        plan: Walls and path in place of those that follow from the settings, such as those of another survey.

    Raises:
        UserError: See :func:`crack_perception.simulation.flight.plan.plan_flight`.
    """

    def __init__(self, settings: FlightSettings, plan: FlightPlan | None = None) -> None:
        self.settings = settings
        self.plan = plan_flight(settings) if plan is None else plan
        self.camera = settings.camera
        self.times_s = self.plan.image_times_s
        self._poses = self.plan.trajectory.camera_poses(self.times_s)
        half_s = settings.exposure_ms / 2000
        self._before = self.plan.trajectory.camera_poses(self.times_s - half_s)
        self._after = self.plan.trajectory.camera_poses(self.times_s + half_s)
        self._drift = exposure_drift(settings.random("exposure"), len(self.times_s), 1 / settings.fps)
        self._renderers = [
            CameraRenderer(self.camera, facet.wall.surface, facet.wall.texture) for facet in self.plan.facets
        ]
        self._sensor = Sensor(settings.width, settings.height, SensorSettings(settings.image_noise))

    def image(self, index: int) -> NDArray[np.uint8]:
        """Render the image (H, W, 3) uint8 of a frame, before JPEG compression."""
        renderer = self._renderers[self.plan.image_facets[index]]
        light = renderer.render(self._poses[index], self._before[index], self._after[index])
        gain = automatic_gain(light) * float(self._drift[index])
        return self._sensor.develop(light, gain, self.settings.random(f"image {index}"))

    @property
    def has_moving_gimbal(self) -> bool:
        """Whether the camera rotates relative to the drone: stabilised gimbal, or facets at different elevations."""
        return self.settings.gimbal or len({leg.place.elevation_rad for leg in self.plan.route.legs}) > 1

    @property
    def carrier_frame(self) -> str:
        """Frame to which the camera is fixed and whose pose is published."""
        return GIMBAL_FRAME if self.has_moving_gimbal else BASE_FRAME

    @property
    def carrier_from_gimbal(self) -> Pose:
        """Pose of the gimbal at rest in that frame."""
        return Pose.of(np.zeros(3) if self.has_moving_gimbal else GIMBAL_LEVER_M, (0.0, 0.0, 0.0, 1.0))

    def truth(self) -> Truth:
        """Return the ground truth of the flight."""
        camera, facets = self.camera, self.plan.facets
        return Truth(
            map_frame=MAP_FRAME,
            camera_frame=CAMERA_FRAME,
            base_frame=self.carrier_frame,
            camera=TruthCamera(camera.width_px, camera.height_px, camera.k.ravel(), camera.d, camera.distortion_model),
            surfaces=tuple(facet.wall.surface for facet in facets),
            cracks=tuple(
                crack.truth_on(facet.wall.surface, index)
                for index, facet in enumerate(facets)
                for crack in facet.cracks
            ),
            # Labels are those of a photograph, which is a single facet.
            cells=facets[0].wall.cells,
            complete=self.plan.complete,
            frames=tuple(self._frame(index) for index in range(len(self.times_s))),
        )

    def _frame(self, index: int) -> TruthFrame:
        pose, facet = self._poses[index], int(self.plan.image_facets[index])
        view = SurfaceView(self.camera, self.plan.facets[facet].wall.surface, pose)
        shares = [(crack.id, view.visible_fraction(crack.line_m)) for crack in self.plan.facets[facet].cracks]
        return TruthFrame(
            stamp_ns=stamp_of(self.times_s[index]),
            position_m=pose.position_m,
            quaternion_xyzw=pose.quaternion,
            gsd_mm_per_px=view.gsd_mm_per_px,
            range_m=view.range_m,
            visible=tuple(VisibleCrack(crack_id, share) for crack_id, share in shares if share > 0),
            surface=facet,
        )


def stamp_of(time_s: float) -> int:
    """Return the stamp of a time in seconds since the first image."""
    return START_NS + round(float(time_s) * 1e9)


def write_flight(settings: FlightSettings, out: Path, force: bool, progress: Progress) -> Truth:
    """Render a flight into a bag that contains ``truth.json``; a failure leaves no files behind.

    Args:
        settings: Settings of the flight.
        out: Folder of the bag.
        force: Replace an existing bag.
        progress: Called with the number of images written and their total.

    Raises:
        UserError: The folder exists, cannot be written, or the flight cannot be planned.
    """
    _refuse_existing(out, force)
    flight = Flight(settings)
    truth = flight.truth()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            bag_path = Path(folder) / out.name
            _write_bag(flight, bag_path, progress)
            write_truth(truth, bag_path / FILE_NAME)
            with uninterrupted():
                if out.exists():
                    shutil.rmtree(out)
                bag_path.rename(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})", "Choose another folder with --out") from None
    return truth


def _refuse_existing(out: Path, force: bool) -> None:
    if not out.exists():
        return
    if not force:
        raise UserError(f"{out}: already exists", "Choose another folder, or replace the bag with --force")
    if not out.is_dir() or (any(out.iterdir()) and not (out / "metadata.yaml").is_file()):
        raise UserError(f"{out}: is not a bag, and --force only replaces bags", "Choose another folder")


def _write_bag(flight: Flight, path: Path, progress: Progress) -> None:
    with FlightBag(path) as bag:
        events = heapq.merge(
            _static_events(flight), _pose_events(flight), _range_events(flight), _images(flight, progress)
        )
        for _, _, write in events:
            write(bag)


def _static_events(flight: Flight) -> Iterator[_Event]:
    first_ns = stamp_of(-_BEFORE_AND_AFTER_S)
    # The rangefinder is beside the lens and measures along the optical axis; its x axis points forward.
    from_range = flight.carrier_from_gimbal
    from_camera = Pose.of(from_range.position_m, FORWARD_LOOKING_OPTICAL)
    yield (
        first_ns,
        0,
        partial(
            FlightBag.mounts,
            stamp_ns=first_ns,
            carrier=flight.carrier_frame,
            carrier_from_camera=from_camera,
            carrier_from_range=from_range,
        ),
    )


def _sensor_times_s(flight: Flight, rate_hz: float, offset_s: float) -> NDArray[np.float64]:
    """Return sample times from shortly before the first image to shortly after the last."""
    span_s = float(flight.times_s[-1]) + 2 * _BEFORE_AND_AFTER_S
    return np.arange(int(span_s * rate_hz) + 1) / rate_hz - _BEFORE_AND_AFTER_S + offset_s


def _pose_events(flight: Flight) -> Iterator[_Event]:
    settings, trajectory = flight.settings, flight.plan.trajectory
    times_s = _sensor_times_s(flight, POSE_HZ, _POSE_OFFSET_S)
    poses = noisy_poses(
        settings.random("pose"),
        trajectory.base_poses(times_s),
        1 / POSE_HZ,
        settings.pose_noise_m,
        float(np.deg2rad(settings.attitude_noise_deg)),
        settings.noise_white_share,
    )
    gimbals = trajectory.gimbal_poses(times_s) if flight.has_moving_gimbal else [None] * len(times_s)
    lost = dropouts(settings.random("pose drop-outs"), times_s, settings.pose_dropout, _POSE_OUTAGE_S)
    for time_s, pose, gimbal, is_lost in zip(times_s, poses, gimbals, lost, strict=True):
        if not is_lost:
            stamp = stamp_of(time_s)
            yield stamp, 1, partial(FlightBag.pose, stamp_ns=stamp, map_from_base=pose, base_from_gimbal=gimbal)


def _range_events(flight: Flight) -> Iterator[_Event]:
    """Yield readings while a facet is in front of the camera; in transit there is no surface to measure."""
    settings, route = flight.settings, flight.plan.route
    times_s = _sensor_times_s(flight, RANGE_HZ, _RANGE_OFFSET_S)
    noise = settings.random("range").standard_normal(len(times_s))
    flown = route.leg_of(times_s)
    poses = flight.plan.trajectory.camera_poses(times_s)
    for time_s, pose, error, leg in zip(times_s, poses, noise, flown, strict=True):
        if leg < 0:
            continue
        exact_m = SurfaceView(flight.camera, route.legs[leg].surface, pose).range_m
        sigma_m = float(np.hypot(settings.range_noise_m, settings.range_noise_share * exact_m))
        stamp = stamp_of(time_s)
        yield (
            stamp,
            2,
            partial(FlightBag.range, stamp_ns=stamp, range_m=exact_m + sigma_m * float(error), sigma_m=sigma_m),
        )


def _images(flight: Flight, progress: Progress) -> Iterator[_Event]:
    for index, time_s in enumerate(flight.times_s):
        yield stamp_of(time_s), 3, partial(_write_image, flight=flight, index=index, progress=progress)


def _write_image(bag: FlightBag, flight: Flight, index: int, progress: Progress) -> None:
    stamp = stamp_of(flight.times_s[index])
    image = flight.image(index)
    quality = flight.settings.jpeg_quality
    bag.camera_info(stamp, flight.camera)
    if flight.settings.compressed:
        bag.compressed_image(stamp, encode_jpeg(image, quality or _COMPRESSED_QUALITY))
    else:
        bag.image(stamp, through_jpeg(image, quality) if quality else image)
    progress(index + 1, len(flight.times_s))
