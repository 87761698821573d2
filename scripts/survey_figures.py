# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure the figures of docs/survey.md: time per frame against bare inference, workers, overhead, memory, and by step.

    .venv/bin/python scripts/survey_figures.py --out FOLDER [--model NAME] [--seconds S] [--flights N]

Every flight is a structure of its own, as in a large survey. Ratios are of processor time where one process is compared
with bare inference, which is measured before and after it, and of wall time where processes are compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import cv2

from crack_perception.evaluation.recordings.bag import deserialize, open_bag
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.models import load_model
from crack_perception.ros.detector.image_conversion import FrameConverter
from crack_perception.simulation.flight.settings import settings_of
from crack_perception.simulation.flight.simulation import write_flight
from crack_perception.survey.engine import Engine, local_engine
from crack_perception.survey.progress import Progress
from crack_perception.survey.recorded_photographs import PHOTOGRAPHS
from crack_perception.survey.run import SurveyRun
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.sources import StructureTable, find_sources
from crack_perception.survey.storage import Storage
from crack_perception.survey.tasks import Job, store_model

_EMPTY_TASKS = 500
# Every so many frames are measured without the survey, twice.
_CORE_STEP = 2


def main() -> None:
    """Simulate flights, process them in several ways and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder for flights and results")
    parser.add_argument("--model", default="standard", help="name of a shipped model (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each flight (default: %(default)s)")
    parser.add_argument("--flights", type=int, default=4, help="flights of each kind, even (default: %(default)s)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {"model": arguments.model}
    for kind, cracks in (("intact", 0), ("cracked", 10)):
        folder = arguments.out / kind
        for seed in range(arguments.flights):
            settings = settings_of("demo", {"duration_s": arguments.seconds, "cracks": cracks, "seed": seed})
            if not (folder / f"bridge_{seed}").exists():
                write_flight(settings, folder / f"bridge_{seed}" / "flight", False, lambda written, total: None)
        before = core(folder, arguments.model)
        one, two = (surveyed(folder, arguments.out, arguments.model, workers) for workers in (1, 2))
        after = core(folder, arguments.model)
        bare = {name: (value + after[name]) / 2 for name, value in before.items()}
        figures[kind] = {
            **bare,
            "one_worker": one,
            "two_workers": two,
            "share_of_inference": bare["inference_cpu_ms"] / one["cpu_ms"],
            "share_of_inference_and_lines": bare["inference_and_lines_cpu_ms"] / one["cpu_ms"],
            "cpu_of_two_workers_over_one": two["cpu_ms"] / one["cpu_ms"],
            "wall_speed_up": one["wall_s"] / two["wall_s"],
        }
    figures["empty_task_cpu_ms"] = {"processes": overhead_ms(), "dask": dask_overhead_ms()}
    figures["worker_rss_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    print(json.dumps(rounded(figures), indent=1))


def rounded(figures: Any) -> Any:
    """Return figures with four digits."""
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    return float(f"{figures:.4g}") if isinstance(figures, float) else figures


def core(folder: Path, name: str) -> dict[str, float]:
    """Return the processor time of a frame in one thread [ms]: of the model alone, and with the lines it leads to."""
    model = load_model(name)
    detector = FrameDetector(model, open_backend("onnxruntime", model, 1))
    converter = FrameConverter()
    frames, inference_s, lines_s = 0, 0.0, 0.0
    for path in sorted(folder.glob("*/flight")):
        measurement = RegionMeasurement()
        with open_bag(path) as bag:
            topic = next(topic for topic in bag.topics if topic.type_name == "sensor_msgs/msg/Image")
            for number, record in enumerate(bag.messages([topic.name])):
                if number % _CORE_STEP:
                    continue
                frame = converter.frame_of(deserialize(record.data, topic.type_name))
                if not frames:  # the first run loads libraries
                    measurement.measure(frame, (found := detector.detect(frame)).grid, found.regions)
                frames += 1
                begin_s = time.process_time()
                found = detector.detect(frame)
                detected_s = time.process_time()
                measurement.measure(frame, found.grid, found.regions)
                inference_s += detected_s - begin_s
                lines_s += time.process_time() - detected_s
    return {
        "inference_cpu_ms": 1000.0 * inference_s / frames,
        "inference_and_lines_cpu_ms": 1000.0 * (inference_s + lines_s) / frames,
    }


def surveyed(folder: Path, out: Path, name: str, workers: int) -> dict[str, Any]:
    """Return the times of a survey of the flights with this number of processes."""
    archive = out / f"archive_{folder.name}_{name}_{workers}_{time.time_ns()}"
    storage = Storage(str(archive))
    stored = store_model(storage, load_model(name))
    sources = find_sources([folder], StructureTable())
    with local_engine(workers) as engine:
        _loaded(engine)
        # Other parts are other results: the first run loads libraries and model, the second is measured.
        for part_s, chosen in ((29.0, sources[:workers]), (30.0, sources)):
            job = Job(str(archive), stored, survey_settings(None, {"model": name}, {}, part_s))
            begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
            summary = SurveyRun(job, chosen, StructureTable(), Progress()).run(engine)
            wall_s, coordinator_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    structures = summary["structures"]
    recordings = [recording for structure in structures for recording in structure["recordings"]]
    frames = summary["frames"]
    keys = [recording["key"] for recording in recordings]
    tables = [path for key in keys for path in (archive / "recordings" / key).glob("*.parquet")]
    steps = sorted({step for recording in recordings for step in recording["steps_cpu_s"]})
    tasks_s = {
        "plan": sum(recording["plan_wall_s"] for recording in recordings),
        "parts": sum(recording["wall_s"] for recording in recordings),
        "join": sum(recording["join_wall_s"] for recording in recordings),
        "maps": sum(structure["wall_s"] for structure in structures),
    }
    return {
        "frames": frames,
        "detections_per_frame": sum(recording["detections"] for recording in recordings) / frames,
        "cpu_ms": 1000.0 * sum(recording["cpu_s"] for recording in recordings) / frames,
        "steps_cpu_ms": {
            step: 1000.0 * sum(recording["steps_cpu_s"].get(step, 0.0) for recording in recordings) / frames
            for step in steps
        },
        "coordinator_cpu_ms": 1000.0 * coordinator_s / frames,
        "wall_s": wall_s,
        "tasks_wall_s": tasks_s,
        "longest_recording_s": max(recording["wall_s"] for recording in recordings),
        "idle_share": 1.0 - sum(tasks_s.values()) / (workers * wall_s),
        "tables_kb": sum(path.stat().st_size for path in tables if path.stem != PHOTOGRAPHS) / 1024 / frames,
        "photographs": sum(recording["photographs"] for recording in recordings),
        "photographs_kb": sum(recording["photograph_bytes"] for recording in recordings) / 1024 / frames,
    }


def _loaded(engine: Engine) -> None:
    """Start the processes and load their libraries, which happens once in a run of any length."""
    for future in [engine.executor.submit(open_backend_once) for _ in range(2 * engine.workers)]:
        future.result()


def open_backend_once() -> None:
    """Load what a worker loads."""
    import crack_perception.survey.tasks  # noqa: F401

    time.sleep(0.5)  # so that every process gets one


def overhead_ms() -> float:
    """Return the processor time of this process for a task that does nothing [ms]."""
    with local_engine(1) as engine:
        return _empty_tasks_ms(engine.executor.submit)


def dask_overhead_ms() -> float:
    """Return the processor time of client, scheduler and worker, all in this process, for an empty task [ms]."""
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        return _empty_tasks_ms(client.get_executor(pure=False).submit)


def _empty_tasks_ms(submit: Any) -> float:
    submit(int).result()
    begin_cpu_s = time.process_time()
    for future in [submit(int) for _ in range(_EMPTY_TASKS)]:
        future.result()
    return 1000.0 * (time.process_time() - begin_cpu_s) / _EMPTY_TASKS


if __name__ == "__main__":
    main()
