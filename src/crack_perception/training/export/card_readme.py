# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""README of a model folder, generated from the model card and the evaluation results."""

from __future__ import annotations

import textwrap
from typing import Any

from crack_perception.recognition.models import COMPACT_GRAPH_NAME, NO_STRUCTURE_ENTRY
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
        no_structure=_no_structure_words(card),
        width=_width_words(card["severity"]["on_unseen_photographs"]),
        command=card["command"],
    )


_NOTES = {
    "Cracks that readers see": (
        "Two readers (independent runs of a general vision-language model) judged the tiles of SDNET2018 that are\n"
        "labelled as cracked, those labelled intact that a model reported, and 60 others, without labels and scores.\n"
        "`visible`: labelled as cracked, and both see a crack; `not visible`: neither does. F1 counts as cracked what\n"
        "both see, and leaves out the doubtful and the not visible tiles.\n\n"
    ),
    "Sources outside the training": (
        "All images of these sources. Most of them are cracked, therefore use the recall. `other_defect` (such as\n"
        "spalling) is neither cracked nor intact; its `far` is the share reported as cracked.\n\n"
    ),
    "Crack and background tiles of these sources": (
        "Tiles cut at native resolution: crack tiles contain at least 64 px of crack in the mask, background tiles\n"
        "none within 16 px. `padded` tiles are squares of 96 px, mirrored to a tile.\n\n"
    ),
    "Under interference": (
        "The same test tiles, cracked and intact, with each kind of interference at a fixed strength. All sources and\n"
        "surfaces have the same weight. Changes are relative to the clean tiles.\n\n"
    ),
    "Probability of detection by crack width": (
        "Anti-aliased cracks rendered on intact test tiles, blurred by 0, 1 and 2 px. w50 and w90 are the widths that\n"
        "are detected with 50 % and 90 % probability; a dash is a width outside 0.25-8 px.\n\n"
    ),
    "Severity of rendered cracks": (
        "Detected cracks of 2-12 px at 0.02-1 mm/px. `correct` is the share of correct classes among the classified\n"
        "cracks (those not undetermined). The other two estimators are baselines on the same tiles.\n\n"
    ),
    "Head refitted without a source": (
        "Only the head was refitted; the backbone was trained on every source. The loss on a new source is larger.\n\n"
    ),
}


def _introduction(card: dict[str, Any]) -> str:
    backbone, packed = card["backbone"], ", compressed by xz" if COMPACT_GRAPH_NAME in card["files"] else ""
    words = (
        f"{backbone[0].upper()}{backbone[1:]}, with a compressed RBF SVM and two width heads. The ONNX graph"
        f" ({card['bytes_total'] / 1000:,.1f} kB{packed}) has int8 weights with one scale per output channel and"
        f" computes in float. It has {card['parameters'] / 1000:,.0f} thousand parameters and needs"
        f" {card['macs_per_tile'] / 1e6:.1f} million multiply-accumulates per tile of {card['tile_px']} x"
        f" {card['tile_px']} px. `card.json` contains all figures of this page and the settings of the training."
    )
    return textwrap.fill(words, _LINE_LENGTH)


def _means(report: dict[str, Any]) -> str:
    means, calibration = report["unseen_means"], report["calibration"]
    return (
        f"Means over the sources outside the training: recall {cell(means['image_recall'])} on images and"
        f" {cell(means['crop_recall'])} on tiles, {cell(means['crop_far'])} false alarms on background tiles.\n"
        f"Calibration error of the scores on the test split: {cell(calibration['pooled']['ece'])} pooled,"
        f" {cell(calibration['mean'])} as the mean over sources."
    )


def _source_line(source: dict[str, str]) -> str:
    where = f"doi {source['doi']}" if "doi" in source else source.get("url", "")
    parts = (source.get("title", ""), source.get("authors", ""), where, source["licence"])
    return "* " + " ".join(f"{part.rstrip('.')}." for part in parts if part)


def _no_structure_words(card: dict[str, Any]) -> str:
    """Describe the fifth output, if the model has it, with its figures on validation pictures."""
    figures = card.get(NO_STRUCTURE_ENTRY)
    if figures is None:
        return ""
    source, most = max(figures["mistaken"].items(), key=lambda item: item[1])
    words = (
        "* `no_structure_score`, the probability that the tile shows no structure, but a plant or a vehicle;"
        f" from {figures['threshold']:g} on, {figures['recognised']:.1%} of the tiles of validation pictures that show"
        f" none are recognised, and at most {most:.1%} of the validation tiles of a source and surface are taken for"
        f" one ({source})"
    )
    if "lowers_crack_score_from" in figures:
        words += f"; from {figures['lowers_crack_score_from']:.2f} on, it lowers the crack score"
    return ";\n" + textwrap.fill(words, _LINE_LENGTH, subsequent_indent="  ")


def _compression_table(steps: list[dict[str, Any]]) -> str:
    head = ("step", "head, bytes", "mean F1", "mean AUC", "agreement with exact SVM")
    keys = ("mean_f1", "mean_auc", "agreement")
    return markdown_table(head, [(s["step"], f"{s['head_bytes']:,}", *(s[key] for key in keys)) for s in steps])


def _width_words(rendered: dict[str, float]) -> str:
    return (
        f"On {rendered['n']:.0f} cracks rendered on photographs that were not used for fitting, the median relative"
        f" error of the width is {rendered['median_relative_error']:.0%}.\n{rendered['within_1_sigma']:.0%} of the"
        f" errors are within one and {rendered['within_2_sigma']:.0%} within two of the published standard deviations,"
        f" and {rendered['wide_accuracy']:.0%} of the cracks are on\nthe correct side of the class edge. The masks of"
        " real cracks in the table above were themselves widened by resizing."
    )


_README = """# Model `{name}`

{introduction}

## Description

Input tiles are {tile}. The outputs for each tile are

* `crack_score`, the calibrated probability of a crack; a tile counts as cracked from {threshold} on, for all sources;
* `wide_score`, the probability that the crack is wider than {edge_px:g} px;
* `log_width_px` and `log_width_sigma`, the natural logarithm of the mean crack width in pixels and its standard
  deviation{no_structure}.

Pooled features (mean, standard deviation and maximum of the last feature map) are standardised, projected onto
{components} principal components and mapped to {fourier} random Fourier features. All heads are linear in these.

## Accuracy

Test photographs were not used for training, and all settings were chosen on other photographs. The figures are slightly
optimistic, because those of earlier models on the same data were known during development. `interval` is the 95 %
bootstrap interval over photographs of the figure before it. `far` (false-alarm rate) is the share of intact tiles that
are reported as cracked. `sdnet2018_hardneg` contains only intact tiles, selected for joints, holes and shadows.

{means}

{tables}

### Compression

Accuracy after each compression step, on validation photographs, with an SVM fitted only on training photographs:

{compression}

{width}

## Limits

* The labels of SDNET2018 are noisy: many of its cracked tiles, above all of walls, show no crack that a person could
  find, and figures on it cannot come near 1. METU is easy and not representative.
* Real cracks in brick and render were not trained on: these surfaces are intact or synthetic in the training.
* Widths are learned from rendered cracks; on real cracks, the published standard deviation is too small (figures
  above). They are in pixels: millimetres need the ground sampling distance. For a crack narrower than about one pixel,
  only an upper bound is known.
* Spalling, joints and cables can be reported as cracks.

## Data and licences

Trained on {tiles:,} tiles of {photographs} photographs, {validation} of which were used only for validation. METU does
not name its photographs; blocks of 200 consecutive files are used instead, and neighbouring blocks may share one.

{sources}

The images were cropped and augmented, and synthetic cracks were added to some of them; no image is distributed here.
Initialisation: {initialisation}.

## Command

```
{command}
```
"""
