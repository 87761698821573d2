# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The figures of a report as text: name, value with unit, and one sentence on the meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

UNKNOWN = "–"


class Figure(NamedTuple):
    """A table row: name, value with unit, meaning."""

    name: str
    value: str
    meaning: str


def number(value: float | None, form: str = "g", unit: str = "", factor: float = 1.0) -> str:
    """Format a figure; None becomes a dash."""
    return UNKNOWN if value is None else f"{value * factor:{form}}{unit}"


def groups(report: Mapping[str, Any]) -> Iterator[tuple[str, list[Figure]]]:
    """Yield the groups of figures of a report, each with its heading."""
    yield "Frames", _frames(report["frames"])
    yield "Speed", _speed(report)
    if report["accuracy"] is not None:
        yield "Accuracy against the truth", _accuracy(report["accuracy"])
    if report["map"] is not None:
        yield "Crack map", list(map_figures(report["map"]))


def _frames(frames: Mapping[str, int | None]) -> list[Figure]:
    return [
        Figure("sent", number(frames["sent"]), "Images that the replay published."),
        Figure("received", number(frames["received"]), "Images that reached the node; DDS lost the others."),
        Figure("processed", number(frames["processed"]), "Frames that went through the model."),
        Figure("dropped", number(frames["dropped"]), "Frames replaced by a newer one before they were processed."),
        Figure("failed", number(frames["failed"]), "Frames that could not be decoded or processed."),
        Figure("arrays", number(frames["arrays_received"]), "Detection arrays received, one for each processed frame."),
        Figure(
            "arrays in the map",
            number(frames["arrays_3d_received"]),
            "Detection arrays with a map position for every region.",
        ),
    ]


def _speed(report: Mapping[str, Any]) -> list[Figure]:
    age, jitter = report["age_ms"] or {}, report["jitter_ms"] or {}
    return [
        Figure(
            "rate", number(report["rate_hz"], ".2f", " Hz"), "Detection arrays per second, from the first to the last."
        ),
        Figure(
            "age, median / 95 % / max",
            " / ".join(number(age.get(key), ".0f") for key in ("median", "p95", "max")) + " ms",
            "Time from publishing an image to the arrival of its detections.",
        ),
        Figure(
            "jitter, mean / max / σ",
            " / ".join(number(jitter.get(key), ".1f") for key in ("mean", "max", "sigma")) + " ms",
            "Deviation of the intervals between detection arrays from those between their images.",
        ),
        Figure(
            "processor",
            number(report["cpu_percent"], ".0f", " %"),
            "CPU load of the node's process; 100 % is one core.",
        ),
        Figure("memory", number(report["rss_mb"], ".0f", " MB"), "Peak resident memory of the node's process."),
        Figure(
            "worst delay",
            number(report["playback"]["worst_lateness_ms"], ".0f", " ms"),
            "Largest delay with which the replay itself published a message.",
        ),
    ]


def _accuracy(accuracy: Mapping[str, Any]) -> list[Figure]:
    position, found = accuracy["position_error_m"] or {}, accuracy["cracks_found"]
    by_length = found is not None
    recall_meaning = (
        f"Share of the visible crack length (at least {accuracy['min_width_px']:g} px wide) inside regions."
        if by_length
        else "Share of the visible cracked squares whose inner half overlaps a region."
    )
    figures = [Figure("recall", number(accuracy["crack_recall"], ".1f", " %", 100), recall_meaning)]
    if by_length:
        meaning = "Cracks of which at least half was detected in most of the frames that show them."
        figures.append(Figure("cracks found", f"{found['found']} of {found['n']}", meaning))
    return [
        *figures,
        Figure(
            "false regions",
            f"{number(accuracy['false_regions_per_frame'], '.2f')} per frame",
            "Regions whose box contains no part of a crack.",
        ),
        Figure(
            "false regions per area",
            f"{number(accuracy['false_regions_per_m2'], '.3f')} per m²",
            "The same per square metre of inspected surface, summed over frames.",
        ),
        Figure(
            "intact surface flagged",
            number(accuracy["sound_flagged_share"], ".1f", " %", 100),
            "Share of the visible surface more than 128 px away from cracks that lies inside regions.",
        ),
        Figure(
            "position error, median / 95 %",
            " / ".join(number(position.get(key), ".0f", factor=1000) for key in ("median", "p95")) + " mm",
            "Distance from the published position to the true surface point at that pixel.",
        ),
        Figure(
            "inside the 95 % ellipsoid",
            number(accuracy["position_inside_95"], ".0f", " %", 100),
            "Position errors inside the 95 % ellipsoid of the published covariance; above 95 % is conservative.",
        ),
        Figure(
            "length error",
            number(accuracy["length_error"], ".0f", " %", 100),
            "Median relative error of the published length against the true crack length inside the box.",
        ),
        Figure(
            "width error",
            f"{number(accuracy['width_mae_mm'], '.2f')} mm, {number(accuracy['width_mae_px'], '.2f')} px",
            "Mean absolute error of the crack width; pixels are millimetres converted at the true scale.",
        ),
        Figure(
            "severity correct",
            number(accuracy["severity_accuracy"], ".0f", " %", 100),
            "Share of the determined severity classes that match the true mean width inside the box.",
        ),
        Figure(
            "undetermined",
            number(accuracy["undetermined_rate"], ".0f", " %", 100),
            "Share of the regions whose severity class was not certain enough.",
        ),
    ]


def map_figures(figures: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the figures of the crack map."""
    objects = figures["objects"]
    yield Figure(
        "objects",
        f"{objects['confirmed']} confirmed, {objects['new']} new, {objects['lost']} lost",
        "Mapped cracks by state; only confirmed ones are evaluated.",
    )
    yield Figure(
        "mapped length",
        f"{number(figures['mapped_length_m'], '.2f')} m",
        f"Of all confirmed objects; {number(figures['visible_length_m'], '.2f')} m of crack were wide enough.",
    )
    yield Figure(
        "map recall",
        number(figures["recall"], ".1f", " %", 100),
        "Share of the crack length, wide enough in the best image, that an object of the same direction covers.",
    )
    yield Figure(
        "duplicates",
        number(figures["duplicates"], ".1f", " %", 100),
        "Share of the mapped length that repeats another object of the same crack.",
    )
    yield Figure(
        "false objects",
        f"{number(figures['false_objects_per_100m2'], '.2f')} per 100 m²",
        f"Objects mostly away from all cracks, on {number(figures['seen_area_m2'], '.1f')} m² of inspected surface.",
    )
    for which, name, meaning in (
        ("", "map position error", "Distance from the mapped lines to the nearest true centreline."),
        ("_before", "single-frame position error", "The same for the lines of single frames, before fusion."),
    ):
        yield Figure(f"{name}, median / 95 %", _millimetres(figures[f"position_error{which}_m"]), meaning)
        in_surface = _millimetres(figures[f"position_error_in_surface{which}_m"])
        along_normal = _millimetres(figures[f"position_error_along_normal{which}_m"])
        yield Figure(
            "… in the surface; along its normal",
            f"{in_surface}; {along_normal}",
            "The same distances, split into the parts in the surface and along its normal.",
        )
    yield Figure(
        "inside the 95 % ellipse",
        number(figures["covariance_inside_95"], ".0f", " %", 100),
        "Objects whose offset across their line lies inside the 95 % ellipse of their covariance. "
        f"Single frames: {number(figures['covariance_inside_95_before'], '.0f', ' %', 100)}.",
    )
    yield Figure(
        "map width error",
        f"{number(figures['width_mae_mm'], '.2f')} mm",
        "Mean absolute error of an object's mean width, where the crack was wide enough to detect.",
    )
    yield Figure(
        "map length error",
        number(figures["length_error"], ".0f", " %", 100),
        "Median relative error of an object's length against the part of the crack that it follows.",
    )
    times = figures["mapping_ms"]
    yield Figure(
        "mapping time, median / 95 %",
        f"{number(times['median'], '.2f')} / {number(times['p95'], '.2f')} ms",
        "Per frame, from the mapper's diagnostics.",
    )


def _millimetres(percentiles: Mapping[str, float] | None) -> str:
    """Format a median and a 95th percentile given in metres."""
    return " / ".join(number((percentiles or {}).get(at), ".0f", factor=1000) for at in ("median", "p95")) + " mm"
