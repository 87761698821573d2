# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of annotated frames: boxes, texts and severity colours."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from crack_perception.recognition.severity import PRESETS_MM, UNDETERMINED, SeverityScale
from crack_perception.vision.annotate import Label, annotate, severity_colour
from crack_perception.vision.regions import OrientedBox

GREY = 128

# What linear RGB looks like with normal sight and to the fully colour-blind (Machado, Oliveira & Fernandes 2009).
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def wall(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def label(x: float, y: float, text: str = "obvious 0.97", severity: float | None = 1.0) -> Label:
    return Label(OrientedBox(np.array([x, y]), 60.0, 30.0, 0.0), text, severity)


def count_of(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Return the pixels of exactly this colour."""
    return int(np.all(picture == colour, axis=2).sum())


def test_annotate_input_unchanged() -> None:
    frame = wall(320, 240)
    frame.flags.writeable = False
    drawn = annotate(frame, [label(160, 120)], "caption")
    assert np.all(frame == GREY)
    assert not np.shares_memory(frame, drawn)
    assert drawn.shape == frame.shape


def test_annotate_box_edges_in_severity_colour() -> None:
    box = OrientedBox(np.array([160.0, 140.0]), 100.0, 40.0, np.pi / 6)
    drawn = annotate(wall(320, 240), [Label(box, "", 0.0)], "")
    assert tuple(drawn[140, 160]) == (GREY,) * 3
    for start, end in itertools.pairwise(np.vstack([box.corners(), box.corners()[:1]])):
        x, y = np.round((start + end) / 2).astype(int)
        patch = drawn[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
        assert np.abs(patch - severity_colour(0.0)).sum(axis=1).min() < 40, "smoothed lines mix with the background"


def test_annotate_crack_lines_thin_and_subpixel() -> None:
    line_px = np.array([[120.0, 140.0], [200.0, 140.0], [200.0, 150.0]])
    box = OrientedBox(np.array([160.0, 140.0]), 200.0, 100.0, 0.0)
    drawn = annotate(wall(320, 240), [Label(box, "", 1.0, (line_px,))], "")
    inside = np.any(drawn[100:180, 80:240] != GREY, axis=2)
    rows, columns = np.nonzero(inside)
    assert (rows.min() + 100, rows.max() + 100) == pytest.approx((139.5, 150.5), abs=1)
    assert (columns.min() + 80, columns.max() + 80) == pytest.approx((119.5, 200.5), abs=1)
    assert inside[:, 160 - 80].sum() <= 3
    assert np.abs(drawn[140, 160].astype(int) - severity_colour(1.0)).max() < 20
    between = annotate(wall(320, 240), [Label(box, "", 1.0, (line_px + [0.0, 0.5],))], "")
    assert np.abs(between[140, 160].astype(int) - between[141, 160]).max() <= 10


def test_annotate_caption_in_corner() -> None:
    drawn = annotate(wall(320, 240), [], "2 cracked regions")
    changed = np.any(drawn != GREY, axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), columns.min()) == (0, 0)
    assert rows.max() < 60
    assert (drawn[changed].max(axis=1) > 200).any(), "the text is light"


@pytest.mark.parametrize(("x", "y"), [(5, 5), (635, 5), (5, 475), (635, 475), (-200, 240), (900, 240), (320, 900)])
def test_annotate_text_inside_frame(x: float, y: float) -> None:
    colour = severity_colour(1.0)
    beside = count_of(annotate(wall(640, 480), [label(x, y)], ""), colour)
    central = label(320, 300)
    without_text = count_of(annotate(wall(640, 480), [Label(central.box, "", 1.0)], ""), colour)
    text_area = count_of(annotate(wall(640, 480), [central], ""), colour) - without_text
    assert text_area > 500
    assert beside > 0.9 * text_area


def test_annotate_text_contrasts_with_colour() -> None:
    light = annotate(wall(640, 480), [label(320, 300, severity=1 / 3)], "")[100:]
    dark = annotate(wall(640, 480), [label(320, 300, severity=1.0)], "")[100:]
    assert sum(severity_colour(1 / 3)) > sum(severity_colour(1.0))
    assert light.max(axis=2).min() < 50
    assert dark.min(axis=2).max() > 200


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 10), (3840, 2160)])
def test_annotate_any_frame_size_accepted(width: int, height: int) -> None:
    drawn = annotate(wall(width, height), [label(width / 2, height / 2)], "caption")
    assert drawn.shape == (height, width, 3)
    assert np.any(drawn != GREY)


def test_annotate_line_thickness_scales_with_frame() -> None:
    thicknesses_px = []
    for width in (640, 3840):
        box = OrientedBox(np.array([width / 2, width / 3]), width / 3, width / 6, 0.0)
        drawn = annotate(wall(width, width * 2 // 3), [Label(box, "", 1.0)], "")
        below_the_middle = drawn[width // 3 :, width // 2]
        thicknesses_px.append(np.any(below_the_middle != GREY, axis=1).sum())
    assert 1 <= thicknesses_px[0] <= 3
    assert thicknesses_px[1] >= 3


def test_colours_distinct_per_severity() -> None:
    steps = [severity_colour(severity) for severity in (0.0, 1 / 3, 2 / 3, 1.0, None)]
    assert len(set(steps)) == 5


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("preset", PRESETS_MM)
def test_colours_presets_distinguishable_with_colour_blindness(preset: str, sight: str) -> None:
    scale = SeverityScale.of_preset(preset)
    colours = [severity_colour(scale.relative_severity(label)) for label in (*scale.labels, UNDETERMINED)]
    rgb = np.array(colours, np.float64)[:, ::-1] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ SIGHTS[sight].T, 0, 1).astype(np.float32)
    lab = cv2.cvtColor(seen[None], cv2.COLOR_LRGB2Lab)[0]
    for one, other in itertools.combinations(lab, 2):
        assert np.linalg.norm(one - other) > 10, "a just noticeable difference is about 2.3"


def test_colours_severity_beyond_scale_clamped() -> None:
    assert severity_colour(-1.0) == severity_colour(0.0)
    assert severity_colour(7.0) == severity_colour(1.0)


def test_annotate_labels_of_one_place_all_legible() -> None:
    labels = [label(320, 240, severity=severity) for severity in (0.0, 1 / 3, 2 / 3, 1.0)]
    drawn = annotate(wall(640, 480), labels, "")
    alone = [annotate(wall(640, 480), [one], "") for one in labels]
    for one, picture in zip(labels, alone, strict=True):
        colour = severity_colour(one.severity)
        without = annotate(wall(640, 480), [Label(one.box, "", one.severity)], "")
        background = count_of(picture, colour) - count_of(without, colour)
        assert count_of(drawn, colour) > 0.95 * background


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (3840, 2160)])
def test_annotate_text_height_is_the_same_share_of_every_frame(width: int, height: int) -> None:
    drawn = annotate(wall(width, height), [], "H")
    rows = np.nonzero((drawn.min(axis=2) > 200).any(axis=1))[0]
    # 1.5 % of the height: 2 mm on a tablet of 10 inches.
    assert (rows.max() - rows.min() + 1) / height == pytest.approx(0.018, abs=0.005)
    strokes = (drawn.min(axis=2) > 200).any(axis=0).sum()
    assert strokes >= height / 360
