# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Run a replay: from the bag through the real nodes to the report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Any

from crack_perception.errors import UserError, check_text, file_error
from crack_perception.evaluation.metrics.accuracy import Accuracy, measure_accuracy
from crack_perception.evaluation.metrics.map_accuracy import MapAccuracy, measure_map, measure_map_lines
from crack_perception.evaluation.metrics.marked_pictures import measure_marked
from crack_perception.evaluation.page.html import write_html
from crack_perception.evaluation.page.map_section import map_section
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.replay.files import ReplayFiles, readdressed
from crack_perception.evaluation.replay.pictures import PictureSpool, write_video
from crack_perception.evaluation.replay.plan import TARGET, ReplayOptions, ReplayPlan, plan_replay
from crack_perception.evaluation.replay.report import build_report, detections_document
from crack_perception.evaluation.replay.requirements import requirement_results
from crack_perception.evaluation.replay.session import Recording, record_replay
from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.parameter_files import ineffective_settings, read_parameter_file
from crack_perception.paths import write_json
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.images.thermal import thermal_word

_VISIBLE_LIGHT = "image_is_visible_light"


def replay(options: ReplayOptions, progress: Callable[[str], None]) -> dict[str, Any]:
    """Replay a bag and write all results into ``options.out``.

    A signal ends the playback: the results of what was played are written, then KeyboardInterrupt is raised. Further
    signals wait for that.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        UserError: The bag, truth, parameters or output folder cannot be used, or a node failed.
    """
    for path, what in ((options.out, "the name of the output folder"), (options.params_file, "the name of the file")):
        check_text(path, what)  # ROS 2 arguments of the nodes
    files = ReplayFiles(options.out)
    try:
        return _replay(options, files, progress)
    except OSError as error:
        with suppress(OSError):
            files.report.unlink(missing_ok=True)  # it may be incomplete
        raise file_error(error.filename or options.out, error, "Choose another folder with --out") from error


def _replay(options: ReplayOptions, files: ReplayFiles, progress: Callable[[str], None]) -> dict[str, Any]:
    with open_bag(options.bag) as bag:
        plan = plan_replay(bag, options)
        _check_visible_light(options, plan.inputs.image.name)
        files.prepare(options.map)
        if options.params_file is not None:
            params_file, notes = readdressed(options.params_file, TARGET, files.parameters)
            options = replace(options, params_file=params_file)
            plan = replace(plan, notes=(*plan.notes, *notes))
        with closing(PictureSpool(files.pictures)) as pictures, ExitStack() as saving:
            spool = pictures if options.video else None
            recording = record_replay(bag, plan, options, spool, files, progress, saving)
            progress("writing the report")
            return _write_results(options, plan, recording, files, pictures)


def _declares_visible_light(options: ReplayOptions) -> bool:
    """Return whether the user says that the images are not those of a thermal camera."""
    values: dict[str, Any] = {}
    for block in read_parameter_file(options.params_file) if options.params_file is not None else ():
        values.update(block.values)
    return str({**values, **options.parameters}.get(_VISIBLE_LIGHT, False)).lower() == "true"


def _check_visible_light(options: ReplayOptions, topic: str) -> None:
    """Check the topic of the images, which the node does not know: it receives them on another one.

    Raises:
        UserError: It is that of a thermal camera.
    """
    word = "" if _declares_visible_light(options) else thermal_word(topic)
    if word:
        raise UserError(
            f"the images on {topic} of {options.bag} are thermal ('{word}'), and show no cracks",
            f"Name the colour camera's with --topic image=/x, or set {_VISIBLE_LIGHT}: true in --params if this is one",
        )


def _write_results(
    options: ReplayOptions, plan: ReplayPlan, recording: Recording, files: ReplayFiles, pictures: PictureSpool
) -> dict[str, Any]:
    notes = [f"the node did not subscribe to `{name}`" for name in recording.unused_inputs]
    if options.params_file is not None:
        notes += ineffective_settings(options.params_file, TARGET, recording.parameters)
    scale = severity_scale(recording.parameters)
    accuracy: Accuracy | None = None
    if plan.truth is not None:
        accuracy = measure_accuracy(plan.truth, recording.frames, scale, options.min_width_px)
        if accuracy is None:
            notes.append("the truth contains none of the stamps of the processed images, so there is no accuracy")
    elif plan.marked is not None:
        stamps_ns = [image.stamp_ns for image in recording.playback.images if image.stamp_ns is not None]
        accuracy = measure_marked(plan.marked, stamps_ns, recording.frames)
        if accuracy is None:
            notes.append("none of the marked pictures is a processed image, so there is no accuracy")
    if options.video:
        problem = pictures.failure or write_video(pictures, files.video)
        if problem:
            notes.append(problem)
    map_frame = str(recording.parameters.get("map_frame", "map"))
    map_accuracy: MapAccuracy | None = None
    map_html = ""
    if recording.map_problem == "":
        cracks = load_map_geojson(files.map_geojson)
        processed_ns = [frame.stamp_ns for frame in recording.frames]
        if plan.true_lines:
            map_accuracy = measure_map_lines(cracks, plan.true_lines, recording.footprints_m, recording.observed)
        else:
            map_accuracy = measure_map(cracks, plan.truth, processed_ns, recording.observed, options.min_width_px)
        map_html = map_section(cracks, map_accuracy, plan.truth, recording.footprints_m, scale, map_frame)
    report = build_report(options, plan, recording, accuracy, map_accuracy, notes)
    if options.requirements:
        report["requirements"] = requirement_results(options.requirements, report)
    stamps = [frame.stamp_ns for frame in plan.truth.frames] if plan.truth is not None else None
    write_json(files.detections, detections_document(recording, map_frame, stamps))
    write_html(files.page, report, plan.truth, recording, accuracy, map_html, pictures)
    # Written last, so that an existing report.json means a complete folder.
    write_json(files.report, report)
    return report


def severity_scale(parameters: dict[str, Any]) -> SeverityScale:
    """Return the severity classes of a node with these parameters."""
    edges = tuple(float(edge) for edge in parameters.get("severity_edges_mm", ()))
    if any(edges):
        return SeverityScale(edges)
    return SeverityScale.of_preset(str(parameters.get("severity_preset", "gb50204")))
