"""Report as JSON and as an HTML page, from a hand-made recording."""

from __future__ import annotations

import json
import re
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evaluation_bags import IMAGE_TOPIC, image, write_bag
from evaluation_scenes import crack, detections, mapped, region, square, truth_of

from crack_perception.evaluation.metrics.accuracy import Accuracy, measure_accuracy
from crack_perception.evaluation.metrics.detections import ObservedLine
from crack_perception.evaluation.metrics.map_accuracy import MapAccuracy, measure_map
from crack_perception.evaluation.page.charts import ticks
from crack_perception.evaluation.page.frame_strip import choose_frames
from crack_perception.evaluation.page.html import write_html
from crack_perception.evaluation.page.map_section import map_section
from crack_perception.evaluation.page.summary import summary_lines
from crack_perception.evaluation.recordings.bag import BagTopic, Losses, open_bag
from crack_perception.evaluation.replay.files import readdressed
from crack_perception.evaluation.replay.input_topics import IMAGE, InputTopics, find_inputs
from crack_perception.evaluation.replay.messages import NodeProblem
from crack_perception.evaluation.replay.pictures import PictureSpool, write_video
from crack_perception.evaluation.replay.plan import ReplayOptions, ReplayPlan
from crack_perception.evaluation.replay.player import Playback
from crack_perception.evaluation.replay.report import build_report, detections_document, find_problems
from crack_perception.evaluation.replay.runner import severity_scale
from crack_perception.evaluation.replay.session import Recording, ros_arguments
from crack_perception.evaluation.replay.timing import SentImage
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.parameter_files import ineffective_settings
from crack_perception.simulation.flight.truth import Truth

SECOND_NS = 1_000_000_000

# Stable keys that external scripts use.
REPORT_KEYS = {
    "frames": {"sent", "received", "processed", "dropped", "failed"},
    "age_ms": {"median", "p95", "max"},
    "jitter_ms": {"mean", "max", "sigma"},
    "model": {"name", "sha256"},
    "accuracy": {
        *("crack_recall", "false_regions_per_frame", "false_regions_per_m2", "position_error_m", "length_error"),
        *("width_mae_px", "width_mae_mm", "severity_accuracy", "undetermined_rate"),
    },
    "map": {"recall", "duplicates", "false_objects_per_100m2", "position_error_m"},
}
PLAIN_KEYS = {"rate_hz", "cpu_percent", "rss_mb", "backend", "map", "input_sha256", "config"}


def flight(cells: bool = False) -> Truth:
    """Return a truth of three adjacent frames without overlap; the first and the third show a crack."""
    found = [square((-2.6, 0.0), 0.2, True), square((2.6, 0.2), 0.2, True)]
    cracks = [crack((-3.0, 0.0), (-2.2, 0.0), 8.0), crack((2.2, 0.2), (3.0, 0.2), 8.0, crack_id=1)]
    return truth_of([] if cells else cracks, found if cells else [], camera_x_m=(-2.6, 0.0, 2.6))


def recording() -> Recording:
    """Return a recording of three images: a detected crack, a false region, and no region."""
    here = region((0.0, 0.0), (0.8, 0.1), position_m=np.array([-2.6, 0.0, 2.0]), covariance_m2=np.eye(3) * 1e-4)
    false = region((0.3, -0.3), (0.1, 0.1), position_m=np.array([0.3, -0.3, 2.0]), covariance_m2=np.eye(3) * 1e-4)
    return Recording(
        playback=Playback([SentImage((i + 1) * SECOND_NS, 100.0 + i) for i in range(3)], 30, 0.004),
        frames=(detections(here, index=0), detections(false, index=1), detections(index=2)),
        arrived_s={SECOND_NS: 100.05, 2 * SECOND_NS: 101.07, 3 * SECOND_NS: 102.05},
        arrays=3,
        located_arrays=3,
        markers=3,
        status={
            "frames_received": "3",
            "frames_processed": "3",
            "frames_dropped": "0",
            "frames_failed": "0",
            "model_name": "standard",
            "model_sha256": "ab" * 32,
            "backend": "somewhere <fast>",
        },
        active_status={"pose_source": "pose", "range_source": "range"},
        parameters={"severity_preset": "ec2", "severity_edges_mm": [0.0], "map_frame": "map"},
        cpu_percent=40.0,
        rss_mb=200.0,
        input_sha256="cd" * 32,
        observed=(ObservedLine(SECOND_NS, np.array([[-3.0, 0.01, 2.0], [-2.2, 0.01, 2.0]]), np.eye(3) * 1e-4),),
        footprints_m=(np.array([[-4.0, -0.5, 2.0], [-1.0, -0.5, 2.0], [-1.0, 0.5, 2.0], [-4.0, 0.5, 2.0]]),),
        mapper_status={"mapping_ms_median": "1.25", "mapping_ms_p95": "2.50"},
        map_problem="",
        unused_inputs=(),
    )


@pytest.fixture
def plan(tmp_path: Path) -> ReplayPlan:
    """Plan for a bag with one image topic."""
    path = write_bag(tmp_path / "bag", [(IMAGE_TOPIC, IMAGE, 0, image())])
    with open_bag(path) as bag:
        return ReplayPlan(find_inputs(bag, {}), flight(), {"image_transport": "raw"}, ("a note & more",))


def accuracy_of(truth: Truth) -> Accuracy:
    """Evaluate the recording against a truth."""
    accuracy = measure_accuracy(truth, recording().frames, severity_scale(recording().parameters))
    assert accuracy is not None
    return accuracy


def crack_map() -> tuple[MappedCrack, ...]:
    """Return a map with one object on the first crack and a false one."""
    return mapped((-3.0, 0.0), (-2.2, 0.0)), mapped((-0.2, 0.3), (0.2, 0.3), crack_id=2)


def map_accuracy_of(truth: Truth) -> MapAccuracy:
    """Evaluate that map against a truth."""
    return measure_map(crack_map(), truth, [frame.stamp_ns for frame in recording().frames], recording().observed)


def map_section_of(truth: Truth) -> str:
    """Return the page section of that map."""
    scale = severity_scale(recording().parameters)
    return map_section(crack_map(), map_accuracy_of(truth), truth, recording().footprints_m, scale, "map")


def options(tmp_path: Path) -> ReplayOptions:
    """Return the options of the plan's replay."""
    return ReplayOptions(bag=tmp_path / "bag", out=tmp_path / "out")


def test_build_report_has_stable_keys_and_figures(tmp_path: Path, plan: ReplayPlan) -> None:
    report = build_report(
        options(tmp_path), plan, recording(), accuracy_of(flight()), map_accuracy_of(flight()), ["one more"]
    )
    for key, inner in REPORT_KEYS.items():
        assert inner <= set(report[key]), key
    assert set(report) >= PLAIN_KEYS
    assert report["frames"]["sent"] == 3
    assert report["age_ms"] == {"median": 50.0, "p95": pytest.approx(68.0), "max": 70.0}
    assert report["rate_hz"] == 1.0
    # One frame shows each crack.
    assert report["accuracy"]["cracks_found"] == {"n": 2, "found": 1}
    assert report["accuracy"]["false_regions_per_frame"] == pytest.approx(1 / 3, rel=1e-5)
    assert report["notes"] == ["a note & more", "one more"]
    assert report["problems"] == []
    assert report["map"]["objects"] == {"new": 0, "confirmed": 2, "lost": 0}
    # The map has one of the two cracks, and a false object.
    assert report["map"]["recall"] == pytest.approx(0.5)
    assert report["map"]["false_objects"] == 1
    assert report["map"]["position_error_before_m"]["median"] == pytest.approx(0.01)
    assert report["map"]["mapping_ms"] == {"median": 1.25, "p95": 2.5}
    assert any(line.startswith("map ") and "50.0% of the length" in line for line in summary_lines(report))
    assert json.loads(json.dumps(report)) == report


def test_build_report_without_truth_has_no_accuracy(tmp_path: Path, plan: ReplayPlan) -> None:
    report = build_report(options(tmp_path), plan, recording(), None, None, [])
    assert report["accuracy"] is None and report["map"] is None
    assert not any("recall" in line for line in summary_lines(report))


def changed(**fields: Any) -> Recording:
    """Return the recording with changed counters of the node or changed fields."""
    original = recording()
    counters = {name: fields.pop(name) for name in list(fields) if name.startswith("frames_")}
    return Recording(**{**vars(original), "status": {**original.status, **counters}, **fields})


@pytest.mark.parametrize(
    ("altered", "expected"),
    [
        (changed(frames_received="2"), "3 images sent"),
        (changed(frames_failed="1"), "failed on 1"),
        (changed(arrays=2), "3 frames were processed but 2"),
        (changed(arrays=0, frames_processed="0"), "no detection array"),
        (changed(status={}), "no diagnostics"),
        (changed(map_problem="the disk is full"), "no crack map: the disk is full"),
    ],
)
def test_find_problems_lost_frames_and_results_are_problems(altered: Recording, expected: str) -> None:
    assert any(expected in problem for problem in find_problems(altered))


def test_find_problems_dropped_frames_are_no_problem() -> None:
    assert find_problems(changed(frames_dropped="1", frames_processed="2", arrays=2)) == []


def test_build_report_hovering_frames_are_noted_and_no_problem(tmp_path: Path, plan: ReplayPlan) -> None:
    hovering = changed(frames_skipped_hovering="1", frames_processed="2", arrays=2)
    report = build_report(options(tmp_path), plan, hovering, None, None, [])
    assert report["frames"]["skipped_hovering"] == 1
    assert report["problems"] == []
    assert any("1 frames were skipped because of hover_rate_hz" in line for line in summary_lines(report))


def test_detections_document_contains_all_region_fields() -> None:
    document = detections_document(recording(), "map", [SECOND_NS])
    first, second, third = document["frames"]
    assert (first["in_truth"], second["in_truth"], third["regions"]) == (True, False, [])
    assert first["regions"][0]["centre_px"] == [319.5, 239.5]
    assert first["regions"][0]["size_px"] == [200.0, 25.0]
    assert first["regions"][0]["position_m"] == [-2.6, 0.0, 2.0]
    assert first["regions"][0]["covariance_m2"][1] == [0.0, 0.0001, 0.0]


class PageReader(HTMLParser):
    """Parser that collects the resources of a page and checks that its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        # HTMLParser reports <path .../> through handle_startendtag and <path ...> with children through this one.
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("cells", [False, True])
def test_write_html_is_complete_and_self_contained(tmp_path: Path, plan: ReplayPlan, cells: bool) -> None:
    truth = flight(cells)
    accuracy = accuracy_of(truth)
    report = build_report(options(tmp_path), plan, recording(), accuracy, map_accuracy_of(truth), [])
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        _, encoded = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
        for index in range(3):
            pictures.append((index + 1) * SECOND_NS, encoded.tobytes())
        write_html(tmp_path / "report.html", report, truth, recording(), accuracy, map_section_of(truth), pictures)
    page = (tmp_path / "report.html").read_text()
    reader = PageReader()
    reader.feed(page)
    assert reader.open == []
    assert reader.loaded
    kinds = [item.split(";base64,")[0] for item in reader.loaded]
    assert kinds.count("data:image/svg+xml") == 1 and set(kinds) == {"data:image/svg+xml", "data:image/jpeg"}
    assert "false: no crack there" in page or cells
    assert not re.search(r"https?://|@import|url\(http|<script", page)
    assert "nan" not in page.lower().replace("nanosec", "")
    assert "a note &amp; more" in page
    assert "somewhere &lt;fast&gt;" in page
    assert ('class="cell found"' in page) == cells
    # Once in the legend, and once on the wall for the missed crack.
    assert page.count('class="crack missed"') == (0 if cells else 2)


def test_write_html_without_truth_or_results_renders(tmp_path: Path, plan: ReplayPlan) -> None:
    silent = changed(frames=(), arrived_s={}, arrays=0, located_arrays=0, status={}, active_status={})
    report = build_report(options(tmp_path), plan, silent, None, None, [])
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        write_html(tmp_path / "report.html", report, None, silent, None, "", pictures)
    assert "no detection array was received" in (tmp_path / "report.html").read_text()
    assert any("PROBLEM" in line for line in summary_lines(report))


def test_choose_frames_selects_by_score() -> None:
    accuracy = accuracy_of(flight())
    choices = {choice.title: choice.stamp_ns for choice in choose_frames(recording().frames, accuracy, [1 * SECOND_NS])}
    assert choices == {"Best": SECOND_NS}
    everything = [SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS]
    titles = [choice.title for choice in choose_frames(recording().frames, accuracy, everything)]
    assert titles[0] == "Best"
    assert len({choice.stamp_ns for choice in choose_frames(recording().frames, accuracy, everything)}) == len(titles)
    without_truth = choose_frames(recording().frames, None, everything)
    assert [(choice.title, choice.caption) for choice in without_truth] == [
        ("Most regions", "1 region"),
        ("Typical", "1 region"),
        ("Fewest regions", "0 regions"),
    ]


def test_write_video_contains_every_picture(tmp_path: Path) -> None:
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        assert "no annotated picture" in write_video(pictures, tmp_path / "none.mp4")
        for index in range(5):
            _, encoded = cv2.imencode(".jpg", np.full((48, 64, 3), 40 * index, np.uint8))
            pictures.append(index * SECOND_NS // 5, encoded.tobytes())
        assert write_video(pictures, tmp_path / "video.mp4") == ""
    video = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(5.0)
    video.release()


def test_ticks_returns_round_numbers() -> None:
    assert ticks(0.0, 10.0, 5) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert ticks(0.45, 4.8, 10) == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    assert ticks(3.0, 3.0) == [3.0]


def test_severity_scale_custom_edges_override_preset() -> None:
    assert severity_scale({"severity_preset": "ec2", "severity_edges_mm": [0.0]}).edges_mm == (0.2, 0.3, 0.4)
    assert severity_scale({"severity_preset": "ec2", "severity_edges_mm": [0.5, 1.0]}).edges_mm == (0.5, 1.0)


def test_ros_arguments_user_parameters_override_the_bags(tmp_path: Path, plan: ReplayPlan) -> None:
    requested = ReplayOptions(
        bag=tmp_path, out=tmp_path, params_file=tmp_path / "p.yaml", parameters={"image_transport": "compressed"}
    )
    arguments = ros_arguments(plan, requested)
    order = [
        arguments.index(word)
        for word in ("image_transport:=raw", str(tmp_path / "p.yaml"), "image_transport:=compressed")
    ]
    assert order == sorted(order)
    assert arguments[-1] == "use_sim_time:=true"


HOSTILE = "</table><script>alert(1)</script>\"'&<img src=x onerror=y>"


def test_write_html_hostile_text_is_escaped(tmp_path: Path, plan: ReplayPlan) -> None:
    losses = Losses()
    losses.add(f"/{HOSTILE}", 2, HOSTILE)
    altered = changed(
        status={**recording().status, "model_name": HOSTILE, "backend": HOSTILE},
        active_status={"pose_source": HOSTILE, "range_source": HOSTILE},
        parameters={**recording().parameters, "map_frame": HOSTILE, HOSTILE: HOSTILE},
        losses=losses,
        node_problems=(NodeProblem(HOSTILE, 3, HOSTILE),),
    )
    topic = BagTopic(f"/{HOSTILE}", IMAGE, 3)
    hostile = ReplayPlan(InputTopics({"image": topic}, (topic,)), flight(), {}, (HOSTILE, "\udcff"))
    scale = severity_scale(recording().parameters)
    section = map_section(crack_map(), map_accuracy_of(flight()), flight(), altered.footprints_m, scale, HOSTILE)
    report = build_report(
        options(tmp_path), hostile, altered, accuracy_of(flight()), map_accuracy_of(flight()), [HOSTILE]
    )
    with closing(PictureSpool(tmp_path / "spool")) as pictures:
        write_html(tmp_path / "report.html", report, flight(), altered, accuracy_of(flight()), section, pictures)
    page = (tmp_path / "report.html").read_text()
    reader = PageReader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.seen and "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_build_report_contains_losses_and_node_faults(tmp_path: Path, plan: ReplayPlan) -> None:
    losses = Losses()
    losses.add("/pose", 2, "a.mcap: the chunk at byte 7 is damaged")
    problem = NodeProblem("bad_image", 3, "encoding 'yuv999' is not known")
    report = build_report(
        options(tmp_path),
        plan,
        changed(losses=losses, node_problems=(problem,), frames_failed="3"),
        None,
        None,
        [],
    )
    problems = " | ".join(report["problems"])
    assert "2 messages on 1 topics are unreadable (2 of /pose)" in problems and "byte 7" in problems
    assert "failed on 3 frames: encoding 'yuv999'" in problems
    assert report["unreadable"] == {"messages": {"/pose": 2}, "damage": ["a.mcap: the chunk at byte 7 is damaged"]}
    assert report["node_problems"] == {"bad_image": {"count": 3, "text": problem.text}}
    assert any("3 x bad_image" in note for note in report["notes"])


@pytest.mark.parametrize(("stamps", "expected"), [((0, 0, 0), "same stamp"), ((1, 1, 2), "only 2 different")])
def test_find_problems_equal_stamps_are_a_problem(stamps: tuple[int, ...], expected: str) -> None:
    playback = Playback([SentImage(stamp, 100.0) for stamp in stamps], 3, 0.0)
    assert any(expected in problem for problem in find_problems(changed(playback=playback)))


def test_readdressed_other_namespace_applies_to_the_replay(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("crack_node:\n  ros__parameters:\n    threshold: 0.9\nother:\n  ros__parameters:\n    a: 1\n")
    used, notes = readdressed(path, "/replay/crack_node", tmp_path / "copy.yaml")
    assert ineffective_settings(used, "/replay/crack_node", ["threshold"]) == []
    assert "threshold: 0.9" in used.read_text()
    assert "'crack_node'" in notes[0]
    path.write_text("/**:\n  ros__parameters:\n    threshold: 0.9\n")
    assert readdressed(path, "/replay/crack_node", tmp_path / "copy.yaml") == (path, [])
