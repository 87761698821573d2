# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""README of a model folder, generated from the model card and the evaluation results."""

from __future__ import annotations

import textwrap
from typing import Any

from crack_perception.recognition.models import COMPACT_GRAPH_NAME
from crack_perception.training.evaluation.figures import cell, markdown_table
from crack_perception.training.evaluation.report import report_tables

_LINE_LENGTH = 116


def readme(card: dict[str, Any], report: dict[str, Any]) -> str:
    """Format the README of a model.

    Args:
        card: Model card.
        report: Result of :func:`~crack_perception.training.evaluation.report.evaluate_model`.
    """
    tables = report_tables(report)
    return _README.format(
        name=card["name"],
        introduction=_introduction(card),
        tile=card["input"]["tiles"],
        threshold=card["threshold"],
        components=card["svm"]["components"],
        fourier=card["fourier_features"],
        edge_px=card["severity"]["edge_px"],
        tables="\n\n".join(f"### {title}\n\n{_NOTES.get(title, '')}{table}" for title, table in tables.items()),
        means=_means(report),
        compression=_compression_table(card["compression"]),
        sources="\n".join(_source_line(source) for source in card["sources"].values()),
        initialisation=card["initialisation"],
        tiles=sum(sum(counts.values()) for counts in card["training"]["tiles"].values()),
        photographs=card["training"]["photographs"],
        validation=card["training"]["validation_photographs"],
        width=_width_words(card["severity"]["on_unseen_photographs"]),
        command=card["command"],
    )


_NOTES = {
    "Sources that never train a shipped model": (
        "Every image. Most show only cracks: use the recall. `other_defect` is spalling and the like, neither\n"
        "cracked nor intact, `far` being the share called cracked.\n\n"
    ),
    "Tiles on and away from their cracks": (
        "Tiles cut at native resolution: those with at least 64 px of crack in the mask, and those without any within\n"
        "16 px. `padded` ones are squares of 96 px mirrored to a tile.\n\n"
    ),
    "Under interference": (
        "The same test tiles, cracked and intact, under fixed strengths of each kind; every source and surface counts\n"
        "once. Changes are against the clean tiles.\n\n"
    ),
    "Share found of cracks of known width": (
        "Anti-aliased cracks drawn on intact test tiles, blurred by 0, 1 and 2 px. w50 and w90 are the widths\n"
        "found with 50 % and 90 % probability; a dash is a width outside 0.25-8 px.\n\n"
    ),
    "Severity of drawn cracks": (
        "Cracks of 2-12 px at 0.02-1 mm/px that the model found. `correct` is the share of the verdicts given that are"
        "\nright; the other two columns are baselines on the same tiles.\n\n"
    ),
    "Head refitted without a source": (
        "Only the head was refitted; the backbone had seen every source, so that a wholly new one costs more.\n\n"
    ),
}


def _introduction(card: dict[str, Any]) -> str:
    backbone, packed = card["backbone"], " (packed by xz)" if COMPACT_GRAPH_NAME in card["files"] else ""
    words = (
        f"{backbone[0].upper()}{backbone[1:]}, with a compressed RBF SVM and two width heads, as one ONNX graph of"
        f" {card['bytes_total'] / 1000:,.1f} kB{packed} (int8 weights, one scale an output channel, computed in"
        f" float): {card['parameters'] / 1000:,.0f} thousand parameters, {card['macs_per_tile'] / 1e6:.1f} million"
        f" multiply-accumulates a tile of {card['tile_px']} x {card['tile_px']} px. Every figure here is also in"
        " `card.json`, with how it was made."
    )
    return textwrap.fill(words, _LINE_LENGTH)


def _means(report: dict[str, Any]) -> str:
    means, calibration = report["unseen_means"], report["calibration"]
    return (
        f"Means over the sources that never train: recall {cell(means['image_recall'])} on images and"
        f" {cell(means['crop_recall'])} on tiles, {cell(means['crop_far'])} false alarms on tiles away from cracks.\n"
        f"Calibration error of the scores on the test split: {cell(calibration['pooled']['ece'])} pooled,"
        f" {cell(calibration['mean'])} in the mean over sources."
    )


def _source_line(source: dict[str, str]) -> str:
    where = f"doi {source['doi']}" if "doi" in source else source.get("url", "")
    return f"* {source.get('title', '')}. {source.get('authors', '')}. {where}. {source['licence']}."


def _compression_table(steps: list[dict[str, Any]]) -> str:
    head = ("step", "head, bytes", "mean F1", "mean AUC", "same verdict as exact SVM")
    keys = ("mean_f1", "mean_auc", "agreement")
    return markdown_table(head, [(s["step"], f"{s['head_bytes']:,}", *(s[key] for key in keys)) for s in steps])


def _width_words(rendered: dict[str, float]) -> str:
    return (
        f"On {rendered['n']:.0f} cracks rendered on photographs that took no part in fitting, the median relative error"
        f" of the width is\n{rendered['median_relative_error']:.0%}, {rendered['within_1_sigma']:.0%} of the errors lie"
        f" within one and {rendered['within_2_sigma']:.0%} within two of the published standard deviations, and"
        f" {rendered['wide_accuracy']:.0%} are put on\nthe right side of the class edge. Masks of real cracks, against"
        " which widths are judged above, are themselves widened\nby resizing."
    )


_README = """# Model `{name}`

{introduction}

## Description

Tiles are {tile}. Each gets the calibrated probability of a crack (`crack_score`;
cracked from {threshold} on, one threshold for all sources), the probability that the crack is wider than {edge_px:g} px
(`wide_score`), and the crack's mean width in pixels as a logarithm with its standard deviation (`log_width_px`,
`log_width_sigma`). Pooled features (mean, standard deviation and maximum of the last map) are standardised, projected
on {components} principal components and mapped to {fourier} random Fourier features, on which every head is linear.

## Accuracy

Test photographs took no part in training, and every setting was chosen on other photographs. Figures of earlier
training runs on them, and on the sources that never train, were seen while the method was being developed: they
are slightly optimistic. `interval` is the 95 % bootstrap interval over photographs of the figure before it; `far` is
the share of intact tiles called cracked; `sdnet2018_hardneg` holds intact tiles only, picked for joints, holes and
shadows.

{means}

{tables}

### Compression

What compression costs, on validation photographs, with a machine fitted on training photographs alone:

{compression}

{width}

## Limits

* The labels of SDNET2018 are noisy: many of its cracked tiles, of walls above all, show no crack that a person could
  find, and figures on it cannot come near 1. METU is easy and not representative.
* Trained on photographs of concrete and of a few ceramic tiles; brick, asphalt and render were at most drawn.
* Widths are learned from rendered cracks; on real ones the published sigma is too small (figures above). They are
  pixels: millimetres need the ground sampling distance, and a crack narrower than about a pixel is only bounded.
* Spalling, joints and cables can still be called cracks.

## Data and licences

Trained on {tiles:,} tiles of {photographs} photographs ({validation} of these kept for validation). METU names no
photographs: blocks of 200 consecutive files stand for them there, and neighbouring blocks may share one.

{sources}

The images were cut, augmented and partly drawn upon; none of them is distributed here. Initialisation:
{initialisation}.

## Command

```
{command}
```
"""
