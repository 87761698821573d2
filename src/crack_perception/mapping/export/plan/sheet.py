# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The frame of the sheet: border, title block, legend, scale bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crack_perception.mapping.export.crack_report import CrackReport
from crack_perception.mapping.export.plan.layout import Box
from crack_perception.mapping.export.plan.shapes import (
    INK,
    SOFT_INK,
    WHITE,
    Group,
    Path,
    Text,
    rectangle,
    segment,
    text_width_mm,
)
from crack_perception.mapping.export.plan.symbols import (
    SEEN,
    SEEN_BORDER,
    THICKEST_MM,
    THINNEST_MM,
    TRUTH,
    Symbols,
    class_texts,
)
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.recognition.severity import PRESETS_MM, UNDETERMINED, SeverityScale

# A3 landscape with the filing margin of ISO 5457 on the left.
PAGE_WIDTH_MM, PAGE_HEIGHT_MM = 420.0, 297.0
FRAME = Box(20.0, 10.0, 390.0, 277.0)
_SIDE_MM = 108.0
_FOOT_MM = 44.0
_PAD_MM = 4.0
DRAWING_AREA = Box(
    FRAME.left + 2.0, FRAME.top + 2.0, FRAME.width - _SIDE_MM - _PAD_MM - 2.0, FRAME.height - _FOOT_MM - 4.0
)
TABLE_AREA = Box(FRAME.right - _SIDE_MM, FRAME.top + 2.0, _SIDE_MM - 3.0, FRAME.height - _FOOT_MM - 4.0)
_TITLE_BLOCK = Box(FRAME.right - _SIDE_MM - _PAD_MM, FRAME.bottom - _FOOT_MM, _SIDE_MM + _PAD_MM, _FOOT_MM)
_LEGEND = Box(FRAME.left, FRAME.bottom - _FOOT_MM, 196.0, _FOOT_MM)
KEY_PLAN_AREA = Box(_LEGEND.right, _LEGEND.top, _TITLE_BLOCK.left - _LEGEND.right, _FOOT_MM)

_KEY_WIDTHS_MM = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_BAR_LENGTHS_M = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


@dataclass(frozen=True)
class PlanNotes:
    """Contents of the title block apart from the figures of the map.

    Attributes:
        title: Of the plan, for example the structure's name.
        date: As it shall be printed.
        map_frame: Name of the frame of all coordinates.
        x_heading_deg: Where the map's x axis points, clockwise from true north; None where nobody knows.
    """

    title: str = "Crack map"
    date: str = ""
    map_frame: str = "map"
    x_heading_deg: float | None = None


def sheet_layer() -> Group:
    """Border and divisions."""
    side, foot = _TITLE_BLOCK.left, _TITLE_BLOCK.top
    return Group(
        "sheet",
        (
            Path(rectangle(FRAME.left, FRAME.top, FRAME.width, FRAME.height), INK, 0.5, closed=True),
            Path(segment(side, FRAME.top, side, FRAME.bottom), INK, 0.25),
            Path(segment(FRAME.left, foot, FRAME.right, foot), INK, 0.25),
            Path(segment(KEY_PLAN_AREA.left, foot, KEY_PLAN_AREA.left, FRAME.bottom), INK, 0.25),
        ),
    )


def title_block_layer(notes: PlanNotes, reports: Sequence[CrackReport], scale: SeverityScale, ratio: str) -> Group:
    """Title, date, frame, scale and the map in figures; ``ratio`` is the plan's scale in words."""
    box = _TITLE_BLOCK
    existing = [report for report in reports if report.state is not CrackState.LOST]
    states = Counter(report.state for report in reports)
    order = (CrackState.CONFIRMED, CrackState.NEW, CrackState.LOST)
    counted = ", ".join(f"{states[state]} {state.value}" for state in order if states[state])
    widths_mm = [report.max_width_mm for report in existing if report.max_width_mm is not None]
    half, third, whole = 47.0, 26.0, box.width - 6.0
    cells = (
        (0.0, 0, half, "date", notes.date or "-"),
        (50.0, 0, third, "scale (A3)", ratio),
        (79.0, 0, third, "map frame", notes.map_frame),
        (0.0, 1, half, "cracks", f"{len(reports)}: {counted}" if reports else "none"),
        (50.0, 1, third, "length, lost ones apart", f"{sum(report.length_m for report in existing):.2f} m"),
        (79.0, 1, third, "greatest width", f"{max(widths_mm):.2f} mm" if widths_mm else "-"),
        (0.0, 2, whole, "severity", _scale_words(scale)),
    )
    items: list[Path | Text] = [
        _fitted((box.left + 3.0, box.top + 8.2), notes.title, 5.4, whole, bold=True),
        Path(segment(box.left, box.top + 12.0, box.right, box.top + 12.0), INK, 0.25),
    ]
    for x, row, room, name, value in cells:
        left, top = box.left + 3.0 + x, box.top + 12.0 + 10.6 * row
        items.append(Text((left, top + 3.8), name, 1.9, colour=SOFT_INK))
        items.append(_fitted((left, top + 8.0), value, 2.7, room))
    items += [Path(segment(box.left, y, box.right, y), INK, 0.12) for y in (box.top + 22.6, box.top + 33.2)]
    return Group("title-block", tuple(items))


def legend_layer(symbols: Symbols, mm_per_m: float, has_seen: bool, has_truth: bool) -> Group:
    """What colours, lines and labels mean, and the scale bar."""
    left, top = _LEGEND.left + 4.0, _LEGEND.top
    items = [
        *_severity_key(symbols, left, top + 5.0),
        *_state_key(symbols, left + 52.0, top + 5.0, has_seen, has_truth),
        *_width_key(symbols, left + 108.0, top + 5.0),
        *_scale_bar(mm_per_m, left + 108.0, top + 33.5),
    ]
    return Group("legend", tuple(items))


def _severity_key(symbols: Symbols, left: float, top: float) -> Iterator[Path | Text]:
    yield Text((left, top), "Severity by mean width", 2.5, bold=True)
    entries = [*zip(symbols.scale.labels, class_texts(symbols.scale), strict=True), (UNDETERMINED, UNDETERMINED)]
    for index, (verdict, words) in enumerate(entries):
        y = top + 4.6 + 4.4 * index
        line = segment(left, y, left + 10.0, y)
        yield from symbols.crack(line, verdict, 1.0 / symbols.width_factor, CrackState.CONFIRMED)
        yield Text((left + 12.5, y + 0.9), words, 2.3)


def _state_key(symbols: Symbols, left: float, top: float, has_seen: bool, has_truth: bool) -> Iterator[Path | Text]:
    yield Text((left, top), "State", 2.5, bold=True)
    slightest, width_mm = symbols.scale.labels[-1], 0.7 / symbols.width_factor
    words = {
        CrackState.CONFIRMED: "confirmed by several views",
        CrackState.NEW: "new, not yet confirmed",
        CrackState.LOST: "lost: not seen where it was",
    }
    y = top
    for state, text in words.items():
        y += 4.6
        yield from symbols.crack(segment(left, y, left + 10.0, y), slightest, width_mm, state)
        yield Text((left + 12.5, y + 0.9), text, 2.3)
    if has_truth:
        y += 4.6
        yield Path(segment(left, y, left + 10.0, y), TRUTH, 0.22)
        yield Text((left + 12.5, y + 0.9), "true centreline of a crack", 2.3)
    if has_seen:
        y += 4.6
        yield Path(rectangle(left, y - 1.4, 10.0, 2.8), SEEN_BORDER, 0.2, fill=SEEN)
        yield Text((left + 12.5, y + 0.9), "inspected surface", 2.3)
    y += 5.2
    yield from tag(Box(left, y - 1.5, 23.0, TAG_HEIGHT_MM), "12", "1.43 m  0.45 mm", symbols.colour(slightest))
    yield Text((left + 25.0, y + 0.9), "id, length, greatest", 2.3)
    yield Text((left + 25.0, y + 3.9), "width (where it points)", 2.3)


def _width_key(symbols: Symbols, left: float, top: float) -> Iterator[Path | Text]:
    yield Text((left, top), "Line width", 2.5, bold=True)
    shown = [width for width in _KEY_WIDTHS_MM if THINNEST_MM <= width * symbols.width_factor <= THICKEST_MM][:5]
    for index, width_mm in enumerate(shown):
        x = left + 15.0 * index
        yield Path(segment(x, top + 5.0, x + 10.0, top + 5.0), INK, symbols.line_width_mm(width_mm))
        yield Text((x + 5.0, top + 9.6), f"{width_mm:g} mm", 2.1, "middle")
    times = symbols.width_factor
    words = "as wide as the crack is" if times == 1 else f"{times:g} times the crack's width"
    yield Text((left, top + 14.0), f"On paper {words}, not to the plan's scale;", 2.1, colour=SOFT_INK)
    yield Text(
        (left, top + 17.0), f"from {THINNEST_MM:g} to {THICKEST_MM:g} mm, without the dark edge.", 2.1, colour=SOFT_INK
    )
    yield Text(
        (left, top + 21.5), "Surfaces as the camera faces them, coordinates in map metres.", 2.1, colour=SOFT_INK
    )


def _scale_bar(mm_per_m: float, left: float, top: float) -> Iterator[Path | Text]:
    unit_m = max((length for length in _BAR_LENGTHS_M if length * mm_per_m * 4 <= 76.0), default=_BAR_LENGTHS_M[0])
    unit_mm = unit_m * mm_per_m
    for index in range(4):
        box = rectangle(left + index * unit_mm, top, unit_mm, 1.5)
        yield Path(box, INK, 0.15, fill=INK if index % 2 == 0 else WHITE)
    for index in range(5):
        text = f"{index * unit_m:g}" + (" m" if index == 4 else "")
        yield Text((left + index * unit_mm, top + 4.6), text, 2.1, "middle")


TAG_HEIGHT_MM = 3.1
TAG_TEXT_MM = 2.1


def tag(box: Box, crack_id: str, words: str, colour: tuple[int, int, int]) -> Iterator[Path | Text]:
    """A label: a white box with the severity's colour at its left side."""
    yield Path(rectangle(box.left, box.top, box.width, box.height), SOFT_INK, 0.12, fill=WHITE)
    yield Path(rectangle(box.left, box.top, 1.1, box.height), SOFT_INK, 0.12, fill=colour)
    base = box.top + box.height / 2 + 0.36 * TAG_TEXT_MM
    yield Text((box.left + 1.9, base), crack_id, TAG_TEXT_MM, bold=True)
    if words:
        # A box that is wider than usual is one for wider letters.
        name_mm = text_width_mm(crack_id, TAG_TEXT_MM, True) * box.width / tag_width_mm(crack_id, words)
        yield Text((box.left + 1.9 + name_mm + 1.2, base), words, TAG_TEXT_MM)


def tag_width_mm(crack_id: str, words: str) -> float:
    """Of the box that ``tag`` fills."""
    width = 1.9 + text_width_mm(crack_id, TAG_TEXT_MM, True) + 0.9
    return width + (1.2 + text_width_mm(words, TAG_TEXT_MM) if words else 0.0)


def _scale_words(scale: SeverityScale) -> str:
    names = [name for name, edges in PRESETS_MM.items() if edges == scale.edges_mm]
    edges = ", ".join(f"{edge:g}" for edge in scale.edges_mm)
    name = f"preset {names[0]}, " if names else ""
    return f"{name}edges {edges} mm, at {100 * scale.confidence:g} % confidence"


def _fitted(at_mm: tuple[float, float], text: str, size_mm: float, room_mm: float, bold: bool = False) -> Text:
    """The text, smaller where it is too long, and cut off where it is much too long."""
    size = size_mm * min(1.0, max(0.75, room_mm / max(text_width_mm(text, size_mm, bold), 1e-9)))
    if text_width_mm(text, size, bold) > room_mm + 1e-6:
        while text and text_width_mm(text + "...", size, bold) > room_mm:
            text = text[:-1]
        text += "..."
    return Text(at_mm, text, round(size, 2), bold=bold)
