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
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.ros.detector.parameters import Settings
from crack_perception.survey.bag_recording import BagRecording
from crack_perception.survey.frames import Faults, Part, Recording, RecordingPlan
from crack_perception.survey.photograph_recording import PhotographRecording
from crack_perception.survey.settings import FORMAT, SurveySettings
from crack_perception.survey.sources import Source, SourceKind
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
    """

    key: str
    plan: RecordingPlan
    summary: dict[str, Any] | None


def plan_recording(job: Job, source: Source) -> Planned:
    """Identify a recording by its content and divide it into parts.

    Raises:
        UserError: The recording cannot be read.
    """
    plan = _recording(job, source).plan()
    # Two digests of fixed length: the key is as good as a digest of both contents.
    key = _digest(plan.content_sha256 + job.settings.digest)
    return Planned(key, plan, Storage(job.out).read_json(f"{RECORDINGS}/{key}/{DONE}"))


def process_part(job: Job, source: Source, key: str, part: Part) -> dict[str, Any]:
    """Process a part of a recording, write its tables, and return its figures.

    Raises:
        UserError: The recording cannot be read, or the results cannot be written.
    """
    storage, folder = Storage(job.out), _part_folder(key, part)
    earlier = storage.read_json(f"{folder}/{DONE}")
    if earlier is not None:
        return {**earlier, "is_repeated": True}
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    faults = Faults()
    writer = TableWriter(key, part.number, job.settings.scale)
    for frame in _recording(job, source).frames(part, faults):
        writer.add(frame)
    for name, data in writer.close().items():
        storage.write(f"{folder}/{name}.parquet", data)
    figures = {
        "frames": writer.frames,
        "posed_frames": writer.posed,
        "detections": writer.detections,
        "located_detections": writer.located,
        "faults": dict(faults.counts),
        "fault_texts": faults.texts,
        "wall_s": round(time.perf_counter() - begin_s, 3),
        "cpu_s": round(time.process_time() - begin_cpu_s, 3),
    }
    storage.write_json(f"{folder}/{DONE}", figures)
    return {**figures, "is_repeated": False}


def finish_recording(job: Job, source: Source, key: str, plan: RecordingPlan) -> dict[str, Any]:
    """Join the tables of the parts and return the summary of the recording.

    Raises:
        UserError: The results cannot be read or written.
    """
    storage, folder = Storage(job.out), f"{RECORDINGS}/{key}"
    figures = [storage.read_json(f"{_part_folder(key, part)}/{DONE}") or {} for part in plan.parts]
    first_ns: int | None = None
    for name in TABLES:
        pieces = (storage.read(f"{_part_folder(key, part)}/{name}.parquet") or b"" for part in plan.parts)
        with tempfile.TemporaryDirectory(prefix="crack_perception_survey_") as temporary:
            path = Path(temporary) / name
            joined(name, pieces, path)
            if name == FRAMES:
                first_ns = _first_stamp_ns(path)
            storage.upload(f"{folder}/{name}.parquet", path)
    faults: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for part in figures:
        faults.update(part["faults"])
        texts |= part["fault_texts"]
    totals = ("frames", "posed_frames", "detections", "located_detections", "wall_s", "cpu_s")
    summary: dict[str, Any] = {
        "content_sha256": plan.content_sha256,
        "settings_sha256": job.settings.digest,
        "format": FORMAT,
        "expected_frames": plan.frames,
        "parts": len(plan.parts),
        "first_stamp_ns": first_ns,
        **{name: round(sum(part[name] for part in figures), 3) for name in totals},
        "faults": dict(sorted(faults.items())),
        "fault_texts": texts,
        "notes": list(plan.notes),
        "origin": None if plan.origin is None else asdict(plan.origin),
    }
    storage.write_json(f"{folder}/{DONE}", summary)
    storage.remove(f"{folder}/parts")
    return summary


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
    import cv2

    cv2.setNumThreads(1)  # every core has its own process
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
