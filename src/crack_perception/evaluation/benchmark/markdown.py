# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benchmark document as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crack_perception.evaluation.benchmark.contenders import SVM_SUFFIX
from crack_perception.evaluation.benchmark.targets import targets_of
from crack_perception.evaluation.benchmark.tile_times import RATIOS
from crack_perception.evaluation.machine import processor_text

_VERDICTS = {True: "yes", False: "no", None: ""}
_HOW = """\
Models: all process the same colour tiles of a simulated wall, each at its input size (scaling is not part of the
time), in ONNX Runtime on one thread unless stated otherwise. On two threads, `nano` and `standard` process separate
tiles per thread with the batch size of the node; the other models parallelise each operator over four tiles. Networks
with an SVM have random weights, which does not change their time; the SVM on the means of the last feature map is
scikit-learn's RBF `SVC` with about 1500 support vectors. Their time per frame is the sum over its tiles. Node: the
real `crack_node` in its own process; images, camera_info, poses and ranges of a simulated flight come from memory
over DDS, and annotated images are not subscribed. An image counts as missed when no detections arrive for it; its age
is the time from just before it is published to the arrival of its detections."""


def benchmark_markdown(document: Mapping[str, Any]) -> str:
    """Render all measurements as headings and tables."""
    sections = [
        "# Speed",
        "Written by `crack_perception benchmark`; `scripts/benchmark` sets up its requirements and runs it.",
        f"**Incomplete**: {document['incomplete']}." if document.get("incomplete") else "",
        _machine(document),
        _HOW,
        _targets(document),
        _tiles(document),
        _ratios(document),
        _stages(document),
        _instructions(document),
        _overhead(document),
        _throughput(document),
        _sustained(document),
        _fixed_rates(document),
        _long_runs(document),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _machine(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{processor_text(machine)}, {machine['threads']} logical processors, {_number(machine['memory_gb'])} GB; "
        f"{machine['system']}; Python {machine['python']}, {packages}; {machine['ros']}. Load of the machine before "
        f"and after: {_number(machine['load_before'])} and {_number(machine['load_after'])}. Model of the node: "
        f"`{document['model']['name']}`. Times are medians (smallest - largest) of interleaved rounds in one run: "
        "compare them with each other, not with times of another machine."
    )


def _targets(document: Mapping[str, Any]) -> str:
    rows = []
    for target in targets_of(document):
        relation = "at least" if target.is_floor else "at most"
        verdict = _VERDICTS[target.met]
        rows.append([target.description, f"{relation} {target.limit:g}", _number(target.measured), verdict])
    instruction_set = document["machine"].get("instruction_set")
    where = f" with {instruction_set}" if instruction_set else ""
    return f"## Targets on two cores\n\nMeasured on a processor{where}.\n\n" + _table(
        ("", "target", "measured", "met"), rows
    )


def _tiles(document: Mapping[str, Any]) -> str:
    if not document["tile_ms"]:
        return ""
    rows = []
    for name, figures in document["tile_ms"].items():
        network = document["network_ms"].get(name)
        rows.append(
            [
                _text_of(name),
                f"{document['contenders'][name]['tile_px']} px",
                _range(figures),
                "" if network is None else _number(network["median"]),
                _range(document["tile_ms_one_a_call"][name]),
                _range(document["tile_ms_two_threads"][name]),
                _range(document["frame_ms"][name])
                if network is None
                else _number(document["frame_ms"][name]["median"]),
            ]
        )
    head = (
        "model",
        "tile",
        f"ms per tile, {document['tiles_a_call']} per call",
        "network alone",
        "one per call",
        "two threads",
        f"ms per {document['frame']['size']} frame of {document['frame']['tiles']} tiles",
    )
    if document["missing"]:
        absent = dict.fromkeys(slow for slow, _ in RATIOS.values() if slow not in document["tile_ms"])
        rows += [[_text_of(name), "", document["missing"], *[""] * (len(head) - 3)] for name in absent]
    return "## Tiles and frames\n\n" + _table(head, rows)


def _ratios(document: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{_text_of(fast)} versus {_text_of(slow)}",
            f"{_number(figures['median'])} times faster",
            f"{_number(figures['min'])} - {_number(figures['max'])}",
        ]
        for name, (slow, fast) in RATIOS.items()
        if (figures := document["ratio_spread"].get(name))
    ]
    return "## Ratios\n\n" + _table(("", "median of the rounds", "smallest - largest"), rows) if rows else ""


def _stages(document: Mapping[str, Any]) -> str:
    kinds = document["stages_ms"]
    if not kinds:
        return ""
    stages = [name for name in next(iter(kinds.values())) if name != "regions_found"]
    rows = [[name, *(_range(figures[name]) for figures in kinds.values())] for name in stages]
    head = ["ms per stage", *(f"{kind} frame ({figures['regions_found']} regions)" for kind, figures in kinds.items())]
    return "## Stages\n\n" + _table(head, rows)


def _instructions(document: Mapping[str, Any]) -> str:
    figures = document.get("instructions")
    if not figures:
        return ""
    head = f"## Instructions\n\nOf one thread for a {figures['size']} frame, counted by valgrind with AVX2"
    if not figures["counts"]:
        return f"{head}: {figures['missing']}."
    rows = [[step, _number(count / 1e6)] for step, count in figures["counts"].items()]
    return f"{head}; the lines are those of the cracked frame.\n\n" + _table(("step", "million instructions"), rows)


def _overhead(document: Mapping[str, Any]) -> str:
    figures = document.get("node_over_inference")
    if not figures:
        return ""
    return (
        f"The node takes {_number(figures['ratio'])} times as long for a clean frame as bare inference of its tiles "
        f"({_number(figures['ratio_spread']['min'])} - {_number(figures['ratio_spread']['max'])}): "
        f"{_number(figures['node_ms']['median'])} versus {_number(figures['inference_ms']['median'])} ms."
    )


def _throughput(document: Mapping[str, Any]) -> str:
    figures = document.get("throughput")
    if not figures or not figures["models"]:
        return ""
    rows = []
    for name, of_model in figures["models"].items():
        for kind, sustained in of_model["sustained"].items():
            rate_hz, inference_ms = sustained["hz"], of_model["inference_ms"]["median"]
            ratio = of_model["ratio"][kind]
            rate = "none" if rate_hz is None else f"{rate_hz:.1f}"
            rows.append([_text_of(name), kind, rate, f"{1000 / inference_ms:.1f}", _number(ratio)])
    head = ("model", "wall", "Hz of the node", "Hz of inference alone", "ratio")
    return (
        f"## Node and inference alone\n\nHighest rate at {figures['size']} with less than 5 % missed, and that of "
        f"inference alone on {figures['threads']} threads; the ratio is to the inference just before and after.\n\n"
        + _table(head, rows)
    )


def _sustained(document: Mapping[str, Any]) -> str:
    rows = []
    for size, figures in document["sustained"].items():
        if figures["hz"] is None:
            rows.append([size, "none", "", "", "", ""])
            continue
        run, age = figures["run"], figures["age_ms"]
        rows.append(
            [
                size,
                f"{figures['hz']:.1f}",
                f"{100 * figures['drops']:.1f} %",
                f"{_number(age['median'])} / {_number(age['p95'])}",
                f"{run['cpu_percent']:.0f} %",
                f"{run['rss_mb']:.0f}",
            ]
        )
    head = ("images", "Hz", "missed", "age ms, median / 95 %", "CPU", "MB")
    return "## Highest rate with less than 5 % missed\n\n" + _table(head, rows) if rows else ""


def _fixed_rates(document: Mapping[str, Any]) -> str:
    rows = []
    for size, runs in document["fixed_rates"].items():
        for run in runs.values():
            age, jitter = run["age_ms"] or {}, run["jitter_ms"] or {}
            rows.append(
                [
                    size,
                    _number(run["asked_hz"]),
                    _number(run["sent_hz"]),
                    _number(run["rate_hz"]),
                    f"{run['missed']} of {run['sent']}",
                    f"{_number(run['first_latency_ms'])} / {_number(run['last_latency_ms'])}",
                    f"{_number(age.get('median'))} / {_number(age.get('p95'))}",
                    f"{_number(jitter.get('mean'))} / {_number(jitter.get('max'))} / {_number(jitter.get('sigma'))}",
                    f"{run['cpu_percent']:.0f} %",
                    f"{run['rss_mb']:.0f}",
                ]
            )
    head = (
        "images",
        "Hz requested",
        "Hz sent",
        "Hz of results",
        "missed",
        "first / last latency ms",
        "age ms, median / 95 %",
        "jitter ms, mean / max / sigma",
        "CPU",
        "MB",
    )
    return "## Fixed rates\n\n" + _table(head, rows) if rows else ""


def _long_runs(document: Mapping[str, Any]) -> str:
    lines = []
    over, idle, soak = document["overload"], document["idle"], document["soak"]
    if over:
        lines.append(
            f"* Overload, {_number(over['sent_hz'])} Hz: median age {_number(over['age_ms']['median'])} ms, "
            f"95th percentile {_number(over['age_ms']['p95'])} ms, which is "
            f"{_number(over['age_p95_over_processing'])} processing times; from the first to the last third of the run "
            f"the age changed by {_percent(over['age_growth'])}."
        )
    start = document.get("start")
    if start:
        first, cpu = start["first_result_s"], start["cpu_s"]
        lines.append(
            f"* Start: first result {_number(first['median'])} s ({_number(first['min'])} - {_number(first['max'])}) "
            f"after the start of the process, with {_number(start['rate_hz'])} images a second; the node computed for "
            f"{_number(cpu['median'])} s until then."
        )
    if idle:
        lines.append(
            f"* Idle: {_number(idle['inactive_cpu_percent'])} % of a core inactive, "
            f"{_number(idle['active_cpu_percent'])} % active without input."
        )
    if soak:
        lines.append(
            f"* Soak test, {_number(soak['seconds'])} s at 30 Hz: memory grew by {_percent(soak['rss_growth'])}, "
            f"memory not shared with the transport by {_percent(soak['private_growth'])}; "
            f"{soak['missed']} of {soak['sent']} images were missed, the age changed by {_percent(soak['age_growth'])}."
        )
    return "## Overload, start, idle and soak test\n\n" + "\n".join(lines) if lines else ""


def _text_of(name: str) -> str:
    """Return the display name of a model."""
    return f"{name.removesuffix(SVM_SUFFIX)} + SVM" if name.endswith(SVM_SUFFIX) else f"`{name}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _range(figures: Mapping[str, float]) -> str:
    return f"{_number(figures['median'])} ({_number(figures['min'])} - {_number(figures['max'])})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    """Format a number with three significant digits; numbers from 100 on as integers."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
