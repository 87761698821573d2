# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames of a folder of photographs without poses: detections in pixels, no map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crack_perception.errors import UserError
from crack_perception.inspection.analysis import SeverityConfig, analyse
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.survey.frames import Faults, InspectedFrame, Part, RecordingPlan
from crack_perception.survey.settings import SurveySettings
from crack_perception.survey.sources import Source
from crack_perception.vision.images.files import read_masked_picture


class PhotographRecording:
    """Recording of a folder of photographs.

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
        content_sha256 = self._source.content_digest()
        count, step = len(self._source.files()), self._survey.part_pictures
        parts = tuple(
            Part(number, start, min(start + step, count)) for number, start in enumerate(range(0, count, step))
        )
        return RecordingPlan(content_sha256, count, parts, ("photographs without poses: detections stay in pixels",))

    def frames(self, part: Part, faults: Faults) -> Iterator[InspectedFrame]:
        """See Recording."""
        settings = self._survey.node_settings({})
        detector = self._new_detector(settings)
        config = SeverityConfig(settings.severity, settings.resolvable_width_px)
        for path in self._source.files()[part.start : part.stop]:
            try:
                picture = read_masked_picture(path)
            except UserError as error:
                faults.add("bad_image", str(error))
                continue
            found = detector.detect(picture.pixels, has_data=picture.has_data)
            regions = RegionMeasurement().measure(picture.pixels, found.grid, found.regions)
            detections = analyse(regions, config, None, lambda box: None, None, settings.noise)
            height, width = picture.pixels.shape[:2]
            yield InspectedFrame(path.name, 0, (width, height), found.grid.count, int(found.looked.sum()), detections)
