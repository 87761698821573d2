# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Faults of time, load, transport, nodes and disk."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.node_client import wait_until
from crack_perception.evaluation.soak.cases import (
    REPORT_LIMIT_S,
    Case,
    Flying,
    Outcome,
    report_since,
    shortened,
    state_of,
    timed_report,
    undisturbed,
)
from crack_perception.evaluation.soak.feed import BEST_EFFORT, RELIABLE
from crack_perception.evaluation.soak.nodes import DETECTOR, MAPPER, PATIENCE_S, full_disk
from crack_perception.evaluation.soak.processes import Starved
from crack_perception.evaluation.soak.watch import ERROR, OK, WARN
from crack_perception.mapping.storage.database import MapStore

_LOOP_S = 20.0
_FLOOD = 10
_LOAD_S = 5.0
_WELL_S = 20.0
# DDS keeps a killed process in the graph for this long; meanwhile the new mapper detects a second node of its name.
_LEASE_S = 25.0
# The mapper saves twice per second, and retries once per second.
_SAVE_S = 1.5
# No user can create files there, including root.
_READ_ONLY = Path("/proc/crack_perception_soak")


def _well_again(flying: Flying, since_s: float, timeout_s: float = _WELL_S) -> tuple[bool, str, float]:
    """Wait until both nodes report OK; return whether they do, a description, and the time [s]."""
    is_well = flying.wait(lambda: flying.is_well(since_s), timeout_s)
    took_s = time.monotonic() - since_s
    return is_well, f"placed frames and OK {took_s:.1f} s later" if is_well else state_of(flying), took_s


def _time_jumps_back(flying: Flying) -> Outcome:
    def jumps() -> int:
        status = flying.watch.latest(DETECTOR)
        return int(status.figures.get("pose_time_jumps", 0)) if status else 0

    before, since_s = jumps(), time.monotonic()
    flying.feed.jump_back(_LOOP_S)
    noticed = flying.wait(lambda: jumps() > before, _WELL_S)
    took_s = time.monotonic() - since_s
    well, words, _ = _well_again(flying, since_s)
    counted = f"noticed after {took_s:.1f} s" if noticed else "not noticed"
    return Outcome(noticed and well, f"{counted}, {words}", {"noticed_s": round(took_s, 3)})


def _flood(flying: Flying) -> Outcome:
    since_s, sent = time.monotonic(), flying.feed.images_sent
    with flying.feed.flooded(_FLOOD):
        flying.pause(_LOAD_S)
        rate_hz = (flying.feed.images_sent - sent) / (time.monotonic() - since_s)
        errors = undisturbed(flying, since_s, (OK, WARN))
        answered = len(flying.watch.ages_s(since_s))
    well, words, _ = _well_again(flying, time.monotonic())
    seen = f"{rate_hz:.0f} images/s, {answered} frames answered, {errors or words}"
    return Outcome(not errors and answered > 0 and well, seen, {"images_per_s": round(rate_hz, 1)})


def _starved(flying: Flying) -> Outcome:
    since_s = time.monotonic()
    with Starved(flying.nodes.detector.process.pid, 0.25):
        flying.pause(_LOAD_S)
        # Images that arrive late may be reported as missing meanwhile.
        answered = len(flying.watch.ages_s(since_s))
    well, words, _ = _well_again(flying, time.monotonic())
    return Outcome(answered > 0 and well, f"{answered} frames answered in {_LOAD_S:g} s, {words}", {})


def _camera_restarts(flying: Flying) -> Outcome:
    profile, words = flying.random.choice(((BEST_EFFORT, "best effort"), (RELIABLE, "reliable")))
    flying.feed.close_camera()
    flying.pause(0.5)
    flying.feed.open_camera(profile)
    well, seen, _ = _well_again(flying, time.monotonic())
    return Outcome(well, f"{words}: {seen}", {})


def _valid_parameters(flying: Flying) -> Outcome:
    since_s = time.monotonic()
    why = [
        flying.nodes.detector.set(resolvable_width_px=flying.random.uniform(0.5, 2.0), jpeg_quality=70),
        flying.nodes.detector.set(severity_confidence=0.8),
        flying.nodes.mapper.set(save_on_shutdown=True),
    ]
    flying.pause(1.0)
    refused, disturbed = "; ".join(filter(None, why)), undisturbed(flying, since_s)
    return Outcome(not (refused or disturbed), refused or disturbed or "accepted, OK", {})


def _invalid_parameters(flying: Flying) -> Outcome:
    since_s = time.monotonic()
    tried = {
        "threshold=7": flying.nodes.detector.set(threshold=7.0),
        "hover_rate_hz=-1": flying.nodes.detector.set(hover_rate_hz=-1.0),
        "threshold=text": flying.nodes.detector.set(threshold="high"),
        "surface=sphere": flying.nodes.detector.set(surface="sphere"),
        "one right, one wrong": flying.nodes.detector.set(jpeg_quality=60, standoff_m=-3.0),
        "publish_rate_hz=-1": flying.nodes.mapper.set(publish_rate_hz=-1.0),
    }
    flying.pause(1.0)
    accepted = [name for name, reason in tried.items() if not reason]
    disturbed = undisturbed(flying, since_s)
    passed = not accepted and not disturbed
    seen = f"accepted: {', '.join(accepted)}" if accepted else disturbed or f"{len(tried)} refused with a reason, OK"
    return Outcome(passed, seen, {})


def _detector_pauses(flying: Flying) -> Outcome:
    return _cycle(flying, DETECTOR, ("deactivate",), ("activate",), "inactive")


def _detector_reconfigured(flying: Flying) -> Outcome:
    return _cycle(flying, DETECTOR, ("deactivate", "cleanup"), ("configure", "activate"), "unconfigured")


def _mapper_pauses(flying: Flying) -> Outcome:
    return _cycle(flying, MAPPER, ("deactivate",), ("activate",), "inactive")


def _cycle(flying: Flying, target: str, down: tuple[str, ...], up: tuple[str, ...], state: str) -> Outcome:
    """Take a node through lifecycle transitions and back; both states must be in the diagnostics within the limit."""
    node = flying.nodes.detector if target == DETECTOR else flying.nodes.mapper
    node.change(*down)
    since_s = time.monotonic()

    def reports(wanted: str) -> bool:
        status = flying.watch.latest(target)
        return status is not None and status.figures.get("state") == wanted

    is_down = flying.wait(lambda: reports(state), _WELL_S)
    took_s = time.monotonic() - since_s
    node.change(*up)
    well, words, _ = _well_again(flying, time.monotonic())
    limit_s = REPORT_LIMIT_S + flying.latency_s(since_s)
    passed = is_down and well and took_s <= limit_s
    return Outcome(passed, f"{state} after {took_s:.1f} s, {words}", {"reported_s": round(took_s, 3)})


def _disk_full(flying: Flying) -> Outcome:
    fault = full_disk(flying.nodes.mapper.process.pid)
    outcome = timed_report(flying, MAPPER, (ERROR,), "crack_map.sqlite", fault, _SAVE_S, _SAVE_S)
    unsaved_s = _unsaved_s(flying)
    return Outcome(
        outcome.passed and unsaved_s < 5.0, f"{outcome.seen}; oldest unsaved change {unsaved_s:.1f} s", outcome.figures
    )


def _unsaved_s(flying: Flying) -> float:
    status = flying.watch.latest(MAPPER)
    return float(status.figures.get("unsaved_s", "inf")) if status else float("inf")


def _read_only(flying: Flying) -> Outcome:
    stray = flying.nodes.stray_mapper(_READ_ONLY)
    is_refused = False
    try:
        stray.change("configure")
    except UserError:
        is_refused = True
    try:
        stray.process.send_signal(signal.SIGTERM)
        code = stray.process.wait(PATIENCE_S)
        lines = stray.process.log_text().splitlines()
    finally:
        stray.close()
    reason = next((line for line in lines if "Cannot configure" in line), "no reason in the log")
    passed = is_refused and "Cannot configure" in reason and code == 0
    seen = shortened(reason, "Cannot configure", 100) if is_refused else "configured"
    return Outcome(passed, f"{seen}; exit {code}", {})


def _mapper_killed(flying: Flying) -> Outcome:
    flying.wait(lambda: _cracks(flying) > 0, _WELL_S)
    flying.nodes.mapper.kill()
    with closing(MapStore(flying.nodes.folder / "crack_map.sqlite")) as store:
        saved, rescue = len(store.load()), store.rescue
    flying.watch.forget(MAPPER)
    flying.nodes.restart_mapper()
    # While DDS keeps the killed process in the graph, a request may be sent to it and be lost.
    flying.pause(_LEASE_S)
    flying.nodes.mapper.change("configure", "activate")
    since_s = time.monotonic()
    loaded = report_since(flying, MAPPER, 0.0, (OK, WARN), "", PATIENCE_S)
    wait_until(lambda: _cracks(flying) >= saved, _WELL_S, flying.check)
    well, words, _ = _well_again(flying, since_s, _WELL_S)
    cracks = _cracks(flying)
    passed = well and rescue is None and loaded is not None and saved > 0
    return Outcome(passed, f"{saved} cracks were saved, {cracks} in the map after the restart, {words}", {})


def _cracks(flying: Flying) -> int:
    status = flying.watch.latest(MAPPER)
    if status is None:
        return 0
    return sum(int(value) for key, value in status.figures.items() if key.startswith("cracks_"))


def node_faults() -> list[Case]:
    """Return all faults of time, load, transport, nodes and disk."""
    return [
        Case("clock and stamps jump back 20 s", "noticed, results in the map again", _time_jumps_back),
        Case(f"images and poses at {_FLOOD} times the rate", "no ERROR, frames answered, OK after it", _flood),
        Case("CPU starved to a quarter", "frames answered, OK after it", _starved),
        Case("camera restarts with other QoS", "frames again, OK after it", _camera_restarts),
        Case("valid parameter changes", "accepted, stays OK", _valid_parameters),
        Case("invalid parameter changes", "refused with a reason, stays OK", _invalid_parameters),
        Case("detector deactivated and activated", "state within 1 s, OK after it", _detector_pauses),
        Case("detector cleaned up and configured", "state within 1 s, OK after it", _detector_reconfigured),
        Case("mapper deactivated and activated", "state within 1 s, OK after it", _mapper_pauses),
        Case("disk of the mapper full", "ERROR within 1 s of the next save, all saved after it", _disk_full),
        Case("folder of a mapper read-only", "configure refused with a reason, exit 0", _read_only),
        Case(
            "mapper killed and restarted",
            f"saved map loaded and OK, configured once DDS has forgotten the killed process ({_LEASE_S:g} s)",
            _mapper_killed,
            once=True,
        ),
    ]
