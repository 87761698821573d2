# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Self-contained HTML page about a replay: no scripts and no external resources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from crack_perception.evaluation.machine import processor_text
from crack_perception.evaluation.metrics.accuracy import Accuracy
from crack_perception.evaluation.page.charts import age_chart, width_chart
from crack_perception.evaluation.page.figures import UNKNOWN, groups, number
from crack_perception.evaluation.page.frame_strip import choose_frames, data_uri
from crack_perception.evaluation.page.style import STYLE
from crack_perception.evaluation.page.wall_plot import flown_surfaces, wall_plot
from crack_perception.evaluation.replay.pictures import PictureSpool
from crack_perception.evaluation.replay.session import Recording
from crack_perception.evaluation.replay.timing import ages_ms
from crack_perception.paths import write_text
from crack_perception.simulation.flight.truth import Truth


def write_html(
    path: Path,
    report: Mapping[str, Any],
    truth: Truth | None,
    recording: Recording,
    accuracy: Accuracy | None,
    map_html: str,
    pictures: PictureSpool,
) -> None:
    """Write the page of a replay.

    Args:
        path: File to write.
        report: As in ``report.json``.
        truth, recording, accuracy: Data of the drawings.
        map_html: Section about the crack map; may be empty.
        pictures: Annotated frames; may be empty.
    """
    sections = [
        _header(report),
        _tiles(report),
        map_html,
        *_wall(truth, recording, accuracy),
        *_frames(recording, accuracy, pictures),
        _charts(report, recording),
        _table(report),
        _particulars(report),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Crack flight report</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n"
    )
    write_text(path, page)


def _header(report: Mapping[str, Any]) -> str:
    problems, dropped = report["problems"], report["frames"]["dropped"]
    if problems:
        kind, text = "bad", "; ".join(problems)
    elif dropped:
        kind, text = "fair", f"{dropped} of {report['frames']['sent']} frames dropped: node slower than camera"
    else:
        except_hovering = " except while hovering" if report["frames"]["skipped_hovering"] else ""
        kind, text = "good", f"every image was received and processed{except_hovering}"
    model = report["model"]["name"] or "unknown model"
    return (
        f"<header><h1>Crack flight report</h1>"
        f"<p>{escape(str(model))} on {escape(str(report['backend']))}</p>"
        f'<span class="verdict {kind}">{escape(text)}</span></header>'
    )


def _tiles(report: Mapping[str, Any]) -> str:
    frames, age, accuracy = report["frames"], report["age_ms"] or {}, report["accuracy"]
    tiles = []
    if accuracy is not None:
        position = accuracy["position_error_m"] or {}
        found = accuracy["cracks_found"]
        if found is not None:
            tiles.append(
                _tile(str(found["found"]), f"of {found['n']}", "cracks found", "in most frames that show them")
            )
        tiles += [
            _tile(number(accuracy["crack_recall"], ".0f", factor=100), "%", "recall", f"of {accuracy['kind']} in view"),
            _tile(
                number(accuracy["false_regions_per_frame"], ".2f"),
                "",
                "false regions",
                f"per frame; {number(accuracy['sound_flagged_share'], '.0f', ' %', 100)} of intact surface flagged",
            ),
            _tile(number(position.get("median"), ".0f", factor=1000), "mm", "position error", "median, in the map"),
        ]
    if report["map"] is not None:
        tiles += _map_tiles(report["map"])
    lost = _difference(frames["sent"], frames["received"])
    tiles += [
        _tile(number(age.get("median"), ".0f"), "ms", "frame age", f"95 % below {number(age.get('p95'), '.0f')} ms"),
        _tile(
            number(frames["processed"]),
            f"of {frames['sent']}",
            "frames processed",
            f"{lost} lost, {number(frames['dropped'])} dropped, {number(frames['failed'])} failed",
        ),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _map_tiles(figures: Mapping[str, Any]) -> list[str]:
    position, objects = figures["position_error_m"] or {}, figures["objects"]
    before = figures["position_error_before_m"] or {}
    return [
        _tile(
            number(figures["recall"], ".0f", factor=100),
            "%",
            "map recall",
            f"by length; {number(figures['duplicates'], '.0f', ' %', 100)} duplicates",
        ),
        _tile(
            number(position.get("median"), ".0f", factor=1000),
            "mm",
            "map position error",
            f"median; {number(before.get('median'), '.0f', ' mm', 1000)} in single frames",
        ),
        _tile(
            str(objects["confirmed"]),
            "",
            "cracks in the map",
            f"{number(figures['false_objects'])} of them false; {objects['new']} more not confirmed",
        ),
    ]


def _tile(value: str, unit: str, name: str, detail: str) -> str:
    small = f"<small>{escape(unit)}</small>" if unit and value != UNKNOWN else ""
    return f'<div class="tile"><b>{escape(value)}{small}</b><span>{escape(name)}</span><i>{escape(detail)}</i></div>'


def _difference(a: int | None, b: int | None) -> str:
    return UNKNOWN if a is None or b is None else str(a - b)


def _wall(truth: Truth | None, recording: Recording, accuracy: Accuracy | None) -> Iterator[str]:
    if truth is None or accuracy is None:
        return
    entries = [
        *_crack_legend(truth),
        ('<path class="flown" d="M2 6H24"/>', "camera"),
        ('<circle class="hit" cx="13" cy="6" r="4"/>', "published position"),
    ]
    if accuracy.complete:
        entries.append(('<circle class="false" cx="13" cy="6" r="4"/>', "position of a false region"))
    entries.append(('<ellipse class="ellipse" cx="13" cy="6" rx="12" ry="5"/>', "95 % of its published uncertainty"))
    legend = "".join(f'<span><svg viewBox="0 0 26 12">{mark}</svg>{escape(text)}</span>' for mark, text in entries)
    lines = " Line thickness grows with crack width (not to scale)." if truth.cracks else ""
    surfaces = flown_surfaces(truth, accuracy)
    drawings = "".join(
        (f"<h3>Facet {index + 1}</h3>" if len(surfaces) > 1 else "")
        + wall_plot(truth, accuracy, recording.frames, index)
        for index in surfaces
    )
    yield (
        f"<section><h2>The wall{'s' if len(surfaces) > 1 else ''}</h2>"
        f'<p class="lead">Camera view in metres; the bright part was inspected.{lines} Hover for details.</p>'
        f'<div class="card">{drawings}<div class="legend">{legend}</div></div>'
        "</section>"
    )


def _crack_legend(truth: Truth) -> list[tuple[str, str]]:
    if truth.cracks:
        mark = '<path class="crack {}" stroke-width="4" d="M2 6H24"/>'
        unseen = "never wide enough or never in view"
    else:
        mark = '<rect class="cell {}" x="4" y="1" width="18" height="10"/>'
        unseen = "never completely in view"
    name = "crack" if truth.cracks else "cracked square"
    texts = {"found": f"{name} detected", "missed": f"{name} missed", "unseen": unseen}
    return [(mark.format(state), text) for state, text in texts.items()]


def _frames(recording: Recording, accuracy: Accuracy | None, pictures: PictureSpool) -> Iterator[str]:
    figures = []
    for choice in choose_frames(recording.frames, accuracy, pictures.stamps_ns):
        uri = data_uri(pictures, choice.key_ns)
        if uri is not None:
            figures.append(
                f'<figure><img src="{uri}" alt="Annotated frame">'
                f"<figcaption><b>{escape(choice.title)}</b> · {escape(choice.caption)}</figcaption></figure>"
            )
    if figures:
        yield (
            "<section><h2>Frames</h2>"
            '<p class="lead">Annotated images from the node. The whole flight is in annotated.mp4 beside this page.</p>'
            f'<div class="frames">{"".join(figures)}</div></section>'
        )


def _charts(report: Mapping[str, Any], recording: Recording) -> str:
    ages = ages_ms(recording.playback.images, recording.arrived_s)
    charts = []
    if ages:
        charts.append(
            '<div class="card"><h2>Frame age</h2><p class="lead">Milliseconds from publishing an image to the '
            f"arrival of its detections.</p>{age_chart(ages, report['age_ms'])}</div>"
        )
    accuracy = report["accuracy"]
    if accuracy is not None and accuracy["recall_by_width_px"]:
        chart = width_chart(accuracy["recall_by_width_px"], accuracy["min_width_px"])
        charts.append(
            '<div class="card"><h2>Recall by crack width</h2><p class="lead">Share of the crack length detected, by '
            f"crack width in the image.</p>{chart}</div>"
        )
    return f'<section class="pair">{"".join(charts)}</section>'


def _table(report: Mapping[str, Any]) -> str:
    rows = []
    for heading, figures in groups(report):
        rows.append(f'<tr class="group"><th colspan="3">{escape(heading)}</th></tr>')
        rows += [
            f'<tr><td>{escape(figure.name)}</td><td class="value">{escape(figure.value)}</td>'
            f'<td class="meaning">{escape(figure.meaning)}</td></tr>'
            for figure in figures
        ]
    return f"<section><h2>All figures</h2><table>{''.join(rows)}</table></section>"


def _particulars(report: Mapping[str, Any]) -> str:
    config = report["config"]
    rows = [
        ("model", f"{report['model']['name']}, SHA-256 {report['model']['sha256']}"),
        ("backend", str(report["backend"])),
        *([("machine", processor_text(report["machine"]))] if "machine" in report else []),
        ("pose and range source", f"{report['sources']['pose']}, {report['sources']['range']}"),
        ("input", f"SHA-256 {report['input_sha256']} ({report['input_sha256_of']})"),
        ("replay", f"rate {config['rate']:g}"),
        *((f"input {name}", topic) for name, topic in config["topics"].items()),
        *((name, json.dumps(value)) for name, value in config["node_parameters"].items()),
    ]
    body = "".join(f'<tr><td>{escape(name)}</td><td class="hash">{escape(value)}</td></tr>' for name, value in rows)
    return (
        f"<section><h2>Notes</h2>{_list([*report['problems'], *report['notes']])}</section>"
        f"<section><details><summary>Configuration and hashes</summary><table>{body}</table></details></section>"
    )


def _list(lines: Sequence[str]) -> str:
    if not lines:
        return '<p class="lead">None.</p>'
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
