"""A bag through the real node, from the file to the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError
from crack_perception.evaluation.accuracy import Accuracy, measure_accuracy
from crack_perception.evaluation.annotated_video import write_video
from crack_perception.evaluation.bag import open_bag
from crack_perception.evaluation.picture_spool import PictureSpool
from crack_perception.evaluation.replay_plan import ReplayOptions, ReplayPlan, plan_replay
from crack_perception.evaluation.replay_session import Recording, record_replay
from crack_perception.evaluation.report import build_report, detections_document
from crack_perception.evaluation.report_html import write_html
from crack_perception.recognition.severity import SeverityScale

REPORT = "report.json"
REPORT_HTML = "report.html"
DETECTIONS = "detections.json"
VIDEO = "annotated.mp4"
NODE_LOG = "crack_node.log"


def replay(options: ReplayOptions, progress: Callable[[str], None]) -> dict[str, Any]:
    """Replay a bag and write everything about it into ``options.out``.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        UserError: The bag, truth, parameters or output folder cannot be used, or the node failed.
    """
    with open_bag(options.bag) as bag:
        plan = plan_replay(bag, options)
        _prepare(options.out)
        with closing(PictureSpool(options.out / "annotated.part")) as pictures:
            recording = record_replay(
                bag, plan, options, pictures if options.video else None, options.out / NODE_LOG, progress
            )
            progress("writing the report")
            return _write_results(options, plan, recording, pictures)


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (REPORT, REPORT_HTML, DETECTIONS, VIDEO, NODE_LOG):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}", "Choose another folder with --out") from error


def _write_results(
    options: ReplayOptions, plan: ReplayPlan, recording: Recording, pictures: PictureSpool
) -> dict[str, Any]:
    notes = [f"the node did not listen to `{name}`" for name in recording.unused_inputs]
    accuracy: Accuracy | None = None
    if plan.truth is not None:
        accuracy = measure_accuracy(
            plan.truth, recording.frames, severity_scale(recording.parameters), options.min_width_px
        )
        if accuracy is None:
            notes.append("the truth knows none of the stamps of the processed images: no accuracy")
    if options.video:
        problem = write_video(pictures, options.out / VIDEO)
        if problem:
            notes.append(problem)
    report = build_report(options, plan, recording, accuracy, notes)
    stamps = [frame.stamp_ns for frame in plan.truth.frames] if plan.truth is not None else None
    map_frame = str(recording.parameters.get("map_frame", "map"))
    _write_json(options.out / DETECTIONS, detections_document(recording, map_frame, stamps))
    write_html(options.out / REPORT_HTML, report, plan.truth, recording, accuracy, pictures)
    # Last, so that a report.json always tells of a complete folder.
    _write_json(options.out / REPORT, report)
    return report


def severity_scale(parameters: dict[str, Any]) -> SeverityScale:
    """The severity classes that a node with these parameters judges by."""
    edges = tuple(float(edge) for edge in parameters.get("severity_edges_mm", ()))
    if any(edges):
        return SeverityScale(edges)
    return SeverityScale.of_preset(str(parameters.get("severity_preset", "gb50204")))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
