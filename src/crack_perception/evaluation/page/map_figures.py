"""The figures of the crack map with their units and meanings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crack_perception.evaluation.page.figure import Figure, number


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
