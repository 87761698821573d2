"""The figures of a report as text: name, value with unit, and one sentence on the meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

UNKNOWN = "–"


class Figure(NamedTuple):
    """A row: name, value with unit, meaning."""

    name: str
    value: str
    meaning: str


def number(value: float | None, form: str = "g", unit: str = "", factor: float = 1.0) -> str:
    """A figure as text; a dash when it is not known."""
    return UNKNOWN if value is None else f"{value * factor:{form}}{unit}"


def groups(report: Mapping[str, Any]) -> Iterator[tuple[str, list[Figure]]]:
    """Headed groups of figures."""
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
        Figure("dropped", number(frames["dropped"]), "Frames that a newer one replaced before their turn came."),
        Figure("failed", number(frames["failed"]), "Frames that could not be decoded or processed."),
        Figure("arrays", number(frames["arrays_received"]), "Detection arrays that came back, one a processed frame."),
        Figure("arrays in the map", number(frames["arrays_3d_received"]), "Those with a position for every region."),
    ]


def _speed(report: Mapping[str, Any]) -> list[Figure]:
    age, jitter = report["age_ms"] or {}, report["jitter_ms"] or {}
    return [
        Figure("rate", number(report["rate_hz"], ".2f", " Hz"), "Answers a second, from the first to the last."),
        Figure(
            "age, median / 95 % / max",
            " / ".join(number(age.get(key), ".0f") for key in ("median", "p95", "max")) + " ms",
            "Time from publishing an image to the arrival of its detections.",
        ),
        Figure(
            "jitter, mean / max / σ",
            " / ".join(number(jitter.get(key), ".1f") for key in ("mean", "max", "sigma")) + " ms",
            "How far intervals between answers differ from the intervals between their images.",
        ),
        Figure("processor", number(report["cpu_percent"], ".0f", " %"), "Of one core, by the node's process."),
        Figure("memory", number(report["rss_mb"], ".0f", " MB"), "Largest resident size of the node's process."),
        Figure(
            "worst lateness",
            number(report["playback"]["worst_lateness_ms"], ".0f", " ms"),
            "How late the replay itself published a message at worst.",
        ),
    ]


def _accuracy(accuracy: Mapping[str, Any]) -> list[Figure]:
    position, found = accuracy["position_error_m"] or {}, accuracy["cracks_found"]
    by_length = found is not None
    recall_meaning = (
        f"Share of the crack length in view (from {accuracy['min_width_px']:g} px wide) inside regions, in all."
        if by_length
        else "Share of the cracked squares in view whose inner half a region touches, in all."
    )
    figures = [Figure("recall", number(accuracy["crack_recall"], ".1f", " %", 100), recall_meaning)]
    if by_length:
        meaning = "Cracks of which most frames that saw them flagged at least half."
        figures.append(Figure("cracks found", f"{found['found']} of {found['n']}", meaning))
    return [
        *figures,
        Figure(
            "false regions",
            f"{number(accuracy['false_regions_per_frame'], '.2f')} a frame",
            "Regions without any piece of a crack under their box.",
        ),
        Figure(
            "false regions per area",
            f"{number(accuracy['false_regions_per_m2'], '.3f')} a m²",
            "The same per square metre of surface looked at, counted anew in every frame.",
        ),
        Figure(
            "sound surface flagged",
            number(accuracy["sound_flagged_share"], ".1f", " %", 100),
            "Share of the surface in view with no crack within 128 px that lies inside regions: the price of recall.",
        ),
        Figure(
            "position error, median / 95 %",
            " / ".join(number(position.get(key), ".0f", factor=1000) for key in ("median", "p95")) + " mm",
            "From the published position to the surface point that the camera really saw there.",
        ),
        Figure(
            "inside the 95 % ellipsoid",
            number(accuracy["position_inside_95"], ".0f", " %", 100),
            "Position errors that the published covariance explains; 95 % would be exact, more is cautious.",
        ),
        Figure(
            "length error",
            number(accuracy["length_error"], ".0f", " %", 100),
            "Published length against the crack length inside the box, median of the relative error.",
        ),
        Figure(
            "width error",
            f"{number(accuracy['width_mae_mm'], '.2f')} mm, {number(accuracy['width_mae_px'], '.2f')} px",
            "Mean absolute error of the crack width; pixels are the millimetres at the true scale.",
        ),
        Figure(
            "severity right",
            number(accuracy["severity_accuracy"], ".0f", " %", 100),
            "Verdicts that name the true class of the mean width inside the box, undetermined ones left out.",
        ),
        Figure(
            "undetermined",
            number(accuracy["undetermined_rate"], ".0f", " %", 100),
            "Regions for which no class was certain enough.",
        ),
    ]


def map_figures(figures: Mapping[str, Any]) -> Iterator[Figure]:
    """Rows for the table of all figures."""
    objects = figures["objects"]
    yield Figure(
        "objects",
        f"{objects['confirmed']} confirmed, {objects['new']} new, {objects['lost']} lost",
        "Cracks of the map by how far they are to be believed; only confirmed ones are judged.",
    )
    yield Figure(
        "mapped length",
        f"{number(figures['mapped_length_m'], '.2f')} m",
        f"Of all confirmed objects; {number(figures['visible_length_m'], '.2f')} m of crack were wide enough to see.",
    )
    yield Figure(
        "recall of the map",
        number(figures["recall"], ".1f", " %", 100),
        "Share of the crack length, wide enough in the best image, with an object of its direction beside it.",
    )
    yield Figure(
        "duplicates",
        number(figures["duplicates"], ".1f", " %", 100),
        "Share of the mapped length along stretches of cracks that another object covers.",
    )
    yield Figure(
        "false objects",
        f"{number(figures['false_objects_per_100m2'], '.2f')} on 100 m²",
        f"Objects with most of their length away from all cracks, on {number(figures['seen_area_m2'], '.1f')} m² seen.",
    )
    for which, name, meaning in (
        ("", "map's position error", "From the mapped lines to the nearest true centre line."),
        ("_before", "single frames' error", "The same for the lines of single frames."),
    ):
        yield Figure(f"{name}, median / 95 %", _millimetres(figures[f"position_error{which}_m"]), meaning)
        in_surface = _millimetres(figures[f"position_error_in_surface{which}_m"])
        along_normal = _millimetres(figures[f"position_error_along_normal{which}_m"])
        yield Figure(
            "… in the surface; along its normal",
            f"{in_surface}; {along_normal}",
            "Of the same distances: where on the surface, and how deep.",
        )
    yield Figure(
        "inside the 95 % ellipse",
        number(figures["covariance_inside_95"], ".0f", " %", 100),
        "Objects whose offset across their line their covariance explains; 95 % would be exact. "
        f"Lines of single frames: {number(figures['covariance_inside_95_before'], '.0f', ' %', 100)}.",
    )
    yield Figure(
        "width error of the map",
        f"{number(figures['width_mae_mm'], '.2f')} mm",
        "Mean absolute error of an object's mean width along what was wide enough.",
    )
    yield Figure(
        "length error of the map",
        number(figures["length_error"], ".0f", " %", 100),
        "An object's length against that of the stretch of crack that it follows, median.",
    )
    times = figures["mapping_ms"]
    yield Figure(
        "mapping time, median / 95 %",
        f"{number(times['median'], '.2f')} / {number(times['p95'], '.2f')} ms",
        "For a frame, by the mapper itself.",
    )


def _millimetres(spread: Mapping[str, float] | None) -> str:
    """Median and 95th percentile."""
    return " / ".join(number((spread or {}).get(at), ".0f", factor=1000) for at in ("median", "p95")) + " mm"
