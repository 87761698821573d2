# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tasks of a survey, run by the processes of this machine or of a cluster; results go to the storage.

Every task can be repeated: it returns at once what an earlier run has left complete, so that a run that was killed
loses only what was in progress. Tasks return references and figures, never tables.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crack_perception.inspection.photograph_chooser import INTERVAL_NS
from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.ros.detector.parameters import Settings
from crack_perception.survey.bag_recording import BagRecording
from crack_perception.survey.frames import Faults, Part, Recording, RecordingPlan
from crack_perception.survey.photograph_recording import PhotographRecording
from crack_perception.survey.recorded_photographs import PHOTOGRAPHS, PartPhotographs, join_photographs
from crack_perception.survey.settings import FORMAT, SurveySettings
from crack_perception.survey.sources import FileStates, Source, SourceKind
from crack_perception.survey.storage import Storage
from crack_perception.survey.tables import FRAMES, TABLES, TableWriter, joined

RECORDINGS = "recordings"
DONE = "done.json"
_KEY_CHARACTERS = 20

DATED_NS = 946_684_800 * 1_000_000_000
"""Clocks that were never set begin in 1970; nothing has been recorded before this time (2000-01-01) [ns]."""


@dataclass(frozen=True)
class Job:
    """Settings that all tasks of a run share.

    Attributes:
        out: Folder or URL of the results.
        model: Folder of the model below it.
        settings: Settings of the run.
    """

    out: str
    model: str
    settings: SurveySettings


@dataclass(frozen=True)
class Planned:
    """Result of ``plan_recording``.

    Attributes:
        key: Name of the recording's results, from its content and the settings.
        plan: Parts of the recording.
        summary: Of an earlier run that has finished the recording; None otherwise.
        wall_s: Time that it took [s].
    """

    key: str
    plan: RecordingPlan
    summary: dict[str, Any] | None
    wall_s: float = 0.0


def plan_recording(job: Job, source: Source) -> Planned:
    """Identify a recording by its content and divide it into parts.

    Raises:
        UserError: The recording cannot be read.
    """
    begin_s = time.perf_counter()
    use_one_thread()
    plan = _recording(job, source).plan()
    # Two digests of fixed length: the key is as good as a digest of both contents.
    key = _digest(plan.content_sha256 + job.settings.digest)
    summary = Storage(job.out).read_json(f"{RECORDINGS}/{key}/{DONE}")
    return Planned(key, plan, summary, round(time.perf_counter() - begin_s, 3))


def process_part(job: Job, source: Source, key: str, part: Part, state: FileStates) -> dict[str, Any]:
    """Process a part of a recording, write its tables, and return its figures.

    Args:
        job: The run.
        source: The recording.
        key: Of its results.
        part: The part.
        state: Of the recording's files when it was planned.

    Raises:
        UserError: The recording cannot be read or was changed, or the results cannot be written.
    """
    use_one_thread()
    storage, folder = Storage(job.out), _part_folder(key, part)
    earlier = storage.read_json(f"{folder}/{DONE}")
    if earlier is not None:
        return {**earlier, "is_repeated": True}
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    faults, steps = Faults(), defaultdict[str, float](float)
    writer = TableWriter(key, part.number, job.settings.scale)
    photographs = _part_photographs(job, source, key, part)
    for frame in _recording(job, source).frames(part, faults):
        found_s = time.thread_time()
        if photographs is not None:
            photographs.consider(frame, writer.frames)
        photographed_s = time.thread_time()
        writer.add(frame)
        steps["detection"] += frame.detection_cpu_s
        steps["lines"] += frame.lines_cpu_s
        steps["photographs"] += photographed_s - found_s
        steps["tables"] += time.thread_time() - photographed_s
    begin_write_s = time.thread_time()
    files = writer.close()
    if photographs is not None:
        files[PHOTOGRAPHS] = photographs.table()
    source.check_unchanged(state)
    for name, data in files.items():
        storage.write(f"{folder}/{name}.parquet", data)
    steps["tables"] += time.thread_time() - begin_write_s
    cpu_s = time.process_time() - begin_cpu_s
    steps["other"] = max(0.0, cpu_s - sum(steps.values()))
    figures = {
        "frames": writer.frames,
        "posed_frames": writer.posed,
        "detections": writer.detections,
        "located_detections": writer.located,
        "faults": dict(faults.counts),
        "fault_texts": faults.texts,
        "wall_s": round(time.perf_counter() - begin_s, 3),
        "cpu_s": round(cpu_s, 3),
        "steps_cpu_s": {name: round(seconds, 3) for name, seconds in steps.items()},
    }
    storage.write_json(f"{folder}/{DONE}", figures)
    return {**figures, "is_repeated": False}


def finish_recording(job: Job, source: Source, key: str, plan: RecordingPlan) -> dict[str, Any]:
    """Join the tables of the parts and return the summary of the recording.

    Raises:
        UserError: The results cannot be read or written.
    """
    begin_s = time.perf_counter()
    use_one_thread()
    storage, folder = Storage(job.out), f"{RECORDINGS}/{key}"
    figures = [storage.read_json(f"{_part_folder(key, part)}/{DONE}") or {} for part in plan.parts]
    first_ns: int | None = None
    for name in TABLES:
        pieces = (storage.content(f"{_part_folder(key, part)}/{name}.parquet") for part in plan.parts)
        with tempfile.TemporaryDirectory(prefix="crack_perception_survey_") as temporary:
            path = Path(temporary) / name
            joined(name, pieces, path)
            if name == FRAMES:
                first_ns = _first_stamp_ns(path)
            storage.upload(f"{folder}/{name}.parquet", path)
    photographs, photograph_bytes = _join_photographs(job, key, plan)
    faults, steps = Counter[str](), defaultdict[str, float](float)
    texts: dict[str, str] = {}
    for part in figures:
        faults.update(part["faults"])
        texts |= part["fault_texts"]
        for step, seconds in part["steps_cpu_s"].items():
            steps[step] += seconds
    totals = ("frames", "posed_frames", "detections", "located_detections", "wall_s", "cpu_s")
    summary: dict[str, Any] = {
        "content_sha256": plan.content_sha256,
        "settings_sha256": job.settings.digest,
        "format": FORMAT,
        "expected_frames": plan.frames,
        "parts": len(plan.parts),
        "first_stamp_ns": first_ns,
        **{name: round(sum(part[name] for part in figures), 3) for name in totals},
        "steps_cpu_s": {name: round(seconds, 3) for name, seconds in sorted(steps.items())},
        "photographs": photographs,
        "photograph_bytes": photograph_bytes,
        "faults": dict(sorted(faults.items())),
        "fault_texts": texts,
        "notes": list(plan.notes),
        "origin": None if plan.origin is None else asdict(plan.origin),
        "join_wall_s": round(time.perf_counter() - begin_s, 3),
    }
    storage.write_json(f"{folder}/{DONE}", summary)
    storage.remove(f"{folder}/parts")
    return summary


def _part_photographs(job: Job, source: Source, key: str, part: Part) -> PartPhotographs | None:
    """Return what takes the photographs of a part; None where there shall be none."""
    settings = job.settings.node_settings({})
    if not settings.evidence:
        return None
    model, _ = _opened(job.out, job.model, settings.backend)
    # Photographs are taken one by one, each for a reason of its own.
    interval_ns = INTERVAL_NS if source.kind is SourceKind.BAG else 0
    return PartPhotographs(key, part.number, model, settings.evidence_quality, interval_ns)


def _join_photographs(job: Job, key: str, plan: RecordingPlan) -> tuple[int, int]:
    """Join the photographs of the parts; return their number and the bytes of their pictures."""
    if not job.settings.node_settings({}).evidence:
        return 0, 0
    storage = Storage(job.out)
    paths = [f"{_part_folder(key, part)}/{PHOTOGRAPHS}.parquet" for part in plan.parts]
    with tempfile.TemporaryDirectory(prefix="crack_perception_survey_") as temporary:
        path = Path(temporary) / PHOTOGRAPHS
        figures = join_photographs([functools.partial(storage.content, name) for name in paths], path)
        storage.upload(f"{RECORDINGS}/{key}/{PHOTOGRAPHS}.parquet", path)
    return figures


@functools.cache
def use_one_thread() -> None:
    """Keep the libraries of this process to one thread: every core has its own process."""
    import cv2
    import pyarrow as pa

    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def store_model(storage: Storage, model: LoadedModel) -> str:
    """Copy a model into the storage, from where every worker loads it once; return its folder there.

    Raises:
        UserError: It cannot be written.
    """
    folder = f"models/{model.name}-{model.sha256[:12]}"
    for name in ("card.json", *model.card["files"]):
        data = (model.directory / name).read_bytes()
        if storage.read(f"{folder}/{name}") != data:
            storage.write(f"{folder}/{name}", data)
    return folder


def describe(settings: SurveySettings) -> Mapping[str, Any]:
    """Return the settings for the summary of a run."""
    content = asdict(settings)
    return {"settings_sha256": settings.digest, **content}


def _recording(job: Job, source: Source) -> Recording:
    def new_detector(settings: Settings) -> FrameDetector:
        model, backend = _opened(job.out, job.model, settings.backend)
        return FrameDetector(model, backend, settings.tile_overlap, settings.threshold)

    if source.kind is SourceKind.BAG:
        return BagRecording(source, job.settings, new_detector)
    return PhotographRecording(source, job.settings, new_detector)


@functools.lru_cache(maxsize=2)
def _opened(out: str, model: str, backend: str) -> tuple[LoadedModel, InferenceBackend]:
    """Load a model from the storage, once in every process."""
    storage = Storage(out)
    if storage.folder is not None:
        loaded = load_model(str(storage.folder / model))
    else:
        with tempfile.TemporaryDirectory(prefix="crack_perception_model_") as temporary:
            for name in storage.names(model):
                (Path(temporary) / name).write_bytes(storage.read(f"{model}/{name}") or b"")
            loaded = load_model(temporary)
    return loaded, open_backend(backend, loaded, 1)


def _part_folder(key: str, part: Part) -> str:
    return f"{RECORDINGS}/{key}/parts/{part.number:05d}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARACTERS]


def _first_stamp_ns(frames: Path) -> int | None:
    """Return the time of the first frame; of those after the clock was set, where it was set on the way."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    stamps = pq.read_table(frames, columns=["stamp_ns"])["stamp_ns"]
    for least_ns in (DATED_NS, 1):
        found: int | None = pc.min(stamps.filter(pc.greater_equal(stamps, least_ns))).as_py()
        if found is not None:
            return found
    return None
