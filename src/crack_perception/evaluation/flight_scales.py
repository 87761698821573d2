# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Effect of the scale at which tiles are read, on simulated flights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crack_perception.evaluation.metrics.accuracy import measure_accuracy
from crack_perception.evaluation.metrics.detections import FrameDetections, PublishedRegion
from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import Flight

_MIN_WIDTH_PX = 1.5


def flight_settings(range_m: float, hfov_deg: float, frames: int, seed: int) -> FlightSettings:
    """Return a short flight at a distance from a procedural wall, with frames far enough apart to be different."""
    return FlightSettings(seed=seed, duration_s=float(frames), fps=1.0, hfov_deg=hfov_deg, standoff_m=range_m)


def flight_figures(
    model: LoadedModel, backend: InferenceBackend, settings: FlightSettings, reductions: Sequence[int]
) -> list[dict[str, Any]]:
    """Fly once and read every frame at several reductions.

    Args:
        model: The model.
        backend: Open backend of the model.
        settings: Settings of the flight.
        reductions: Pixels of the frame per pixel of a tile.

    Returns:
        For every reduction: ground sampling distance, tiles per frame, recall by crack length, false regions per
        frame and share of intact surface inside regions.
    """
    flight = Flight(settings)
    truth = flight.truth()
    gsd_mm = truth.frames[0].gsd_mm_per_px
    detectors = [FrameDetector(model, backend, tile_gsd_mm=gsd_mm * reduction) for reduction in reductions]
    found: list[list[FrameDetections]] = [[] for _ in detectors]
    tiles = [0] * len(detectors)
    for index, frame in enumerate(truth.frames):
        image = flight.image(index)
        for place, detector in enumerate(detectors):
            output = detector.detect(image, gsd_mm_per_px=gsd_mm)
            tiles[place] = output.grid.count
            regions = tuple(
                PublishedRegion(crack.region.box, crack.region.score, UNDETERMINED) for crack in output.regions
            )
            found[place].append(FrameDetections(frame.stamp_ns, regions))
    report = []
    for reduction, frames, count in zip(reductions, found, tiles, strict=True):
        accuracy = measure_accuracy(truth, frames, SeverityScale.of_preset("gb50204"), min_width_px=_MIN_WIDTH_PX)
        assert accuracy is not None
        figures = accuracy.figures
        report.append(
            {
                "range_m": settings.standoff_m,
                "gsd_mm": gsd_mm,
                "reduction": reduction,
                "tiles": count,
                "recall": figures["crack_recall"],
                "false_regions": figures["false_regions_per_frame"],
                "intact_flagged": figures["sound_flagged_share"],
            }
        )
    return report
