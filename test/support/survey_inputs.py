# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Eight small recordings of four structures: simulated flights as bags, and folders of photographs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crack_perception.evaluation.recordings.bag import deserialize, open_bag
from crack_perception.recognition.models import load_model
from crack_perception.simulation.flight import simulation
from crack_perception.simulation.flight.settings import settings_of
from crack_perception.survey.engine import Engine, local_engine
from crack_perception.survey.progress import Progress
from crack_perception.survey.run import SurveyRun
from crack_perception.survey.settings import SurveySettings, survey_settings
from crack_perception.survey.sources import StructureTable, find_sources
from crack_perception.survey.storage import Storage
from crack_perception.survey.tasks import Job, store_model

FLIGHT: dict[str, Any] = {"width": 640, "height": 480, "duration_s": 2.0, "fps": 5.0, "cracks": 3, "hfov_deg": 60.0}
PART_S = 1.0
"""Parts are short, so that every recording has several."""
DAY_NS = 24 * 3600 * 1_000_000_000
STRUCTURES = ("bridge north", "bridge south", "dam", "tower")


@dataclass(frozen=True)
class Archive:
    """Finished survey: its output folder, its summary and the recordings."""

    out: Path
    summary: dict[str, Any]
    recordings: Path


def write_recordings(folder: Path) -> Path:
    """Write the recordings below a folder, structure by structure, and return it."""
    start_ns = simulation.START_NS
    with pytest.MonkeyPatch.context() as patch:
        for place, seed, day in (
            ("bridge north/march", 1, 0),
            ("bridge north/may", 1, 60),
            ("bridge south/first", 2, 0),
            ("dam/left", 3, 0),
            ("dam/right", 4, 0),
        ):
            patch.setattr(simulation, "START_NS", start_ns + day * DAY_NS)
            settings = settings_of("quick", {**FLIGHT, "seed": seed, "compressed": seed == 2 or None})
            simulation.write_flight(settings, folder / place, False, lambda written, total: None)
    photographs = _images(folder / "dam/left")
    for place, chosen in (
        ("tower/east", photographs[:3]),
        ("tower/west", photographs[3:6]),
        ("bridge south/details", photographs[6:8]),
    ):
        (folder / place).mkdir(parents=True)
        for number, image in enumerate(chosen):
            assert cv2.imwrite(str(folder / place / f"photograph_{number}.jpg"), image)
    return folder


def write_bad_recordings(folder: Path) -> Path:
    """Write a file that is no recording and a folder with a damaged picture; return the folder."""
    folder.mkdir(parents=True)
    (folder / "noise.mcap").write_bytes(bytes(range(256)) * 8)
    (folder / "pictures").mkdir()
    (folder / "pictures" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    return folder


def survey(
    inputs: list[Path],
    out: Path | str,
    engine: Engine | None = None,
    table: StructureTable | None = None,
    settings: SurveySettings | None = None,
    removed: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a survey with the model nano, in one process of this machine without an engine, and return its summary."""
    settings = settings or survey_settings(None, {"model": "nano"}, {}, PART_S)
    table = table or StructureTable()
    storage = Storage(str(out))
    job = Job(str(out), store_model(storage, load_model("nano")), settings)
    sources = find_sources(inputs, table, storage.folder)
    run = SurveyRun(job, sources, table, progress or Progress(), removed)
    if engine is not None:
        return run.run(engine)
    with local_engine(1) as own:
        return run.run(own)


def results(out: Path) -> dict[str, bytes]:
    """Return the contents of all tables and photographs of an archive by path."""
    paths = [path for end in ("*.parquet", "*.photographs/*.jpg") for path in sorted(out.rglob(end))]
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}
    assert found
    return found


def copy_of(folder: Path, target: Path) -> Path:
    """Copy recordings."""
    return Path(shutil.copytree(folder, target))


def _images(bag_path: Path) -> list[np.ndarray]:
    with open_bag(bag_path) as bag:
        topic = next(topic for topic in bag.topics if topic.type_name == "sensor_msgs/msg/Image")
        images = [deserialize(record.data, topic.type_name) for record in bag.messages([topic.name])]
    return [np.asarray(image.data).reshape(image.height, image.width, 3) for image in images]
