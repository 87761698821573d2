# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames of a bag through the frame processing of crack_node, from recorded messages and without DDS.

Topics, pose source and extrinsic are chosen as in ``replay``; poses, ranges, cameras and frames are processed by the
node's own classes. An image waits until the messages of the next moments are read, as it waits in the node for the
pose that follows it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import Bag, Losses, Window, deserialize, open_bag
from crack_perception.evaluation.recordings.definitions import VIDEO_TYPES
from crack_perception.evaluation.recordings.messages import Header, read_header, with_frame
from crack_perception.evaluation.replay.plan import ReplayOptions, ReplayPlan, plan_replay
from crack_perception.geometry.poses.boot_clock import BootClock
from crack_perception.geometry.poses.motion import PoseUnavailable
from crack_perception.geometry.surface.scan import BeamAhead
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.image_conversion import FrameConverter, VideoFrame
from crack_perception.ros.detector.parameter_specs import TYPE_LASER_SCAN
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.pose_messages import PoseMessages
from crack_perception.ros.detector.processor import FrameProcessor, ProcessedFrame
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.timing import UnlimitedTiming
from crack_perception.survey.frames import Faults, InspectedFrame, Part, RecordingPlan
from crack_perception.survey.settings import SurveySettings
from crack_perception.survey.sources import Source
from crack_perception.vision.images.encodings import BadImage
from crack_perception.vision.images.video_packets import PacketDecoder, packet_in

_NS_PER_S = 1_000_000_000
# Poses arrive within this time after their image; the images of this time are in memory.
_LOOK_AHEAD_NS = 300_000_000
_OPEN_NS = 2**62


class BagRecording:
    """Recording of a bag.

    Args:
        source: Where it is.
        survey: Settings of the run.
        detector: Returns a new detector; called once a part.
    """

    def __init__(self, source: Source, survey: SurveySettings, detector: Any) -> None:
        self._source = source
        self._survey = survey
        self._new_detector = detector

    def plan(self) -> RecordingPlan:
        """See Recording."""
        content = self._source.content()
        with open_bag(self._source.path) as bag:
            replay = self._replay_plan(bag)
            self._survey.node_settings(_values(replay.parameters))
            notes = (*replay.notes, *bag.damage)
            return RecordingPlan(
                content.sha256,
                replay.inputs.image.count,
                self._parts(bag, replay),
                notes,
                files=content.files,
                state=content.state,
            )

    def _parts(self, bag: Bag, replay: ReplayPlan) -> tuple[Part, ...]:
        """Divide the time of a bag, without the parts that cannot hold an image."""
        image = replay.inputs.image
        # A video is decoded from its beginning, so it has one part.
        step_ns = _OPEN_NS if image.type_name in VIDEO_TYPES else round(self._survey.part_s * _NS_PER_S)
        length_ns = bag.end_ns - bag.start_ns + 1
        count = max(1, -(-length_ns // step_ns))
        starts: Sequence[int] = range(count)
        if count > image.count + 1:  # a pause of hours, or a clock that was set from 1970 to the present
            starts = sorted({elapsed // step_ns for elapsed, _ in bag.elapsed_messages([image.name], Losses())}) or [0]
        # The last part is open: where the clock was set back, the time goes on beyond the last stamp.
        return tuple(
            Part(number, start * step_ns, _OPEN_NS if number == len(starts) - 1 else (start + 1) * step_ns)
            for number, start in enumerate(starts)
        )

    def frames(self, part: Part, faults: Faults) -> Iterator[InspectedFrame]:
        """See Recording."""
        with open_bag(self._source.path) as bag:
            replay = self._replay_plan(bag)
            settings = self._survey.node_settings(_values(replay.parameters))
            yield from _PartReader(bag, replay, settings, self._new_detector(settings), part, faults).frames(
                self._survey.lead_in_s
            )

    def _replay_plan(self, bag: Bag) -> ReplayPlan:
        """Return the plan of the recording.

        Raises:
            UserError: It has no images, or a topic or setting is invalid.
        """
        # The truth of a simulated flight is not used, nor is anything written.
        options = ReplayOptions(bag=self._source.path, out=Path(), topics=self._survey.topics)
        return plan_replay(bag, options, self._survey.parameters)


def _values(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of parameters that are written as on a ROS command line."""
    return {name: parse_yaml(text) for name, text in parameters.items()}


@dataclass(frozen=True)
class _Waiting:
    """Image that waits for the messages after it; without the image where only its surface is learnt."""

    due_ns: int
    header: Header
    message: Any | None


class _PartReader:
    """Reader of one part of a bag."""

    def __init__(
        self, bag: Bag, replay: ReplayPlan, settings: Settings, detector: FrameDetector, part: Part, faults: Faults
    ) -> None:
        self._bag, self._replay, self._settings, self._part, self._faults = bag, replay, settings, part, faults
        self._health = Health(lambda line: None)
        self._clock, self._recorded_ns = BootClock(), 0
        self._poses = PoseMessages(
            settings, self._health, lambda stamp: self._clock.converted(stamp, self._recorded_ns)
        )
        self._surfaces = SurfaceSources(settings, self._health)
        self._cameras = CameraInfos(settings.image_is_rectified, replay.inputs.image.name)
        topic = replay.inputs.image.name
        converter = FrameConverter(settings.image_bridge, settings.image_bits, topic, settings.image_is_visible_light)
        self._processor = FrameProcessor(
            detector, converter, self._cameras, self._poses.poses, self._surfaces, self._health
        )
        self._size_px: tuple[int, int] | None = None
        self._last_ns: int | None = None
        self._video = PacketDecoder() if replay.inputs.image.type_name in VIDEO_TYPES else None

    def frames(self, lead_in_s: float) -> Iterator[InspectedFrame]:
        """Process the frames of the part, in the order of recording."""
        inputs = {topic.name: (name, topic.type_name) for name, topic in self._replay.inputs.by_input.items()}
        part, waiting, losses = self._part, deque[_Waiting](), Losses()
        begin_s = max(0.0, part.start / _NS_PER_S - lead_in_s)
        window = Window(begin_s, (part.stop + _LOOK_AHEAD_NS) / _NS_PER_S - begin_s)
        for elapsed_ns, record in self._bag.elapsed_messages(inputs, losses, window):
            while waiting and elapsed_ns > waiting[0].due_ns:
                yield from self._processed(waiting.popleft())
            name, type_name = inputs[record.topic]
            data = record.data
            if name == "image" and elapsed_ns >= part.stop:
                continue
            if name == "image" and elapsed_ns < part.start:
                waiting.append(_Waiting(elapsed_ns + _LOOK_AHEAD_NS, read_header(data), None))
                continue
            if record.topic in self._replay.unnamed:
                data = with_frame(data, type_name, self._replay.unnamed[record.topic])
            message = deserialize(data, type_name)
            if message is None:
                self._faults.add("damaged_message", f"a message of {record.topic} is not a {type_name}")
            elif name == "image":
                due_ns = elapsed_ns + _LOOK_AHEAD_NS
                waiting += [_Waiting(due_ns, *image) for image in self._images(message, read_header(data))]
            else:
                self._recorded_ns = record.stamp_ns
                self._take(name, message)
        for late in waiting:
            yield from self._processed(late)
        self._add_faults(losses)

    def _images(self, message: Any, header: Header) -> list[tuple[Header, Any]]:
        """Return the images in a message with their headers: itself, or the pictures of a video's packet."""
        if self._video is None:
            return [(header, message)]
        try:
            pictures = self._video.decode(packet_in(message), (header, _header_message(message)))
        except BadImage as error:
            self._faults.add("bad_image", f"an image cannot be used: {error}")
            return []
        return [(header, VideoFrame(of_picture, picture)) for picture, (header, of_picture) in pictures]

    def _take(self, name: str, message: Any) -> None:
        if name == "camera_info":
            self._size_px = int(message.width), int(message.height)
            self._cameras.push(message)
        elif name == "range":
            reading = BeamAhead.of(message) if self._settings.range_type == TYPE_LASER_SCAN else message
            self._surfaces.push_range(reading)
            self._poses.check_axes(reading)
        elif name == "depth":
            self._surfaces.push_depth(message)
        elif name in self._poses.handlers:
            self._poses.handlers[name](message)

    def _processed(self, waiting: _Waiting) -> Iterator[InspectedFrame]:
        """Process an image; before the part, only learn the surface that it shows."""
        if waiting.message is None:
            self._learn(waiting.header)
            return
        stamp_ns = waiting.header.stamp_ns
        if stamp_ns == self._last_ns:  # as in the node, which would place it where the other one is
            self._faults.add(
                "repeated_stamp",
                f"an image was not used: it has the stamp of the one before it ({stamp_ns} ns). Configure the driver "
                "to stamp its images",
            )
            return
        self._last_ns = stamp_ns
        timing = _StepTiming()
        try:
            frame = self._processor.classify(self._processor.score(waiting.message, self._settings, timing))
        except BadImage as error:
            self._faults.add("bad_image", f"an image cannot be used: {error}")
            return
        yield _inspected(frame, timing)

    def _learn(self, header: Header) -> None:
        """Update the learnt surface as the node does for every image."""
        if self._size_px is None:
            return
        try:
            camera = self._cameras.model_for(header.stamp_ns, *self._size_px, header.frame_id)
            motion = self._poses.poses.at(header.stamp_ns, header.frame_id, 0.0)
        except (UserError, PoseUnavailable):
            return
        self._surfaces.surface_at(header.stamp_ns, camera, motion, self._settings, header.frame_id)

    def _add_faults(self, losses: Losses) -> None:
        texts = self._health.last_texts()
        for kind, count in self._health.counts().items():
            self._faults.add(kind, texts[kind], count)
        # Damage that was found while opening is in the plan.
        lost = losses.messages.total()
        self._faults.add("lost_message", "; ".join(losses.texts) or "messages cannot be read", lost)


def _header_message(message: Any) -> Any:
    """Return the header of a packet's picture; a CompressedVideo has the fields of one itself."""
    return getattr(message, "header", None) or SimpleNamespace(stamp=message.timestamp, frame_id=message.frame_id)


class _StepTiming(UnlimitedTiming):
    """Processor time of the steps of a frame."""

    def __init__(self) -> None:
        super().__init__()
        self._begin_s = 0.0
        self.detection_s = self.lines_s = 0.0

    def begin_scoring(self, budget_s: float) -> None:
        super().begin_scoring(budget_s)
        self._begin_s = time.thread_time()

    def end_scoring(self) -> None:
        super().end_scoring()
        self.detection_s = time.thread_time() - self._begin_s

    def begin_measuring(self) -> None:
        super().begin_measuring()
        self._begin_s = time.thread_time()

    def end_measuring(self) -> None:
        super().end_measuring()
        self.lines_s = time.thread_time() - self._begin_s


def _inspected(frame: ProcessedFrame, timing: _StepTiming) -> InspectedFrame:
    height, width = frame.frame.shape[:2]
    return InspectedFrame(
        name="",
        stamp_ns=stamp_ns(frame.header.stamp),
        size_px=(width, height),
        tiles=len(frame.processed_tiles),
        processed_tiles=int(frame.processed_tiles.sum()),
        detections=frame.detections,
        has_pose=frame.has_pose,
        footprint_m=frame.footprint_m,
        view=frame.surface.inspected_view(),
        shown=frame,
        detection_cpu_s=timing.detection_s,
        lines_cpu_s=timing.lines_s,
    )
