# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Model folder: graph, model card and README."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crack_perception.recognition.backends.protocol import NO_STRUCTURE_OUTPUT
from crack_perception.recognition.models import (
    CARD_NAME,
    COMPACT_GRAPH_NAME,
    NO_STRUCTURE_ENTRY,
    LoadedModel,
    inference_sha256,
    write_graph,
)
from crack_perception.training.data.manifest import REFIT_ENTRY
from crack_perception.training.data.other_pictures import STRATUM
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.export.card_readme import readme
from crack_perception.training.heads.severity import EDGE_PX
from crack_perception.training.heads.svm import F1_TOLERANCE
from crack_perception.training.pipeline import TrainedModel
from crack_perception.training.refit import RefittedModel
from crack_perception.vision.tiling import COLOUR, GREY

FORMAT_VERSION = 1

SOURCES: dict[str, dict[str, str]] = {
    "sdnet2018": {
        "title": "SDNET2018: annotated images of concrete bridge decks, walls and pavements",
        "authors": "M. Maguire, S. Dorafshan, R. J. Thomas, Utah State University, 2018",
        "doi": "10.15142/T3TD19",
        "licence": "CC BY 4.0",
    },
    "metu": {
        "title": "Concrete Crack Images for Classification",
        "authors": "Ç. F. Özgenel, Middle East Technical University, 2019",
        "doi": "10.17632/5y9wdsg2zt.2",
        "licence": "CC BY 4.0",
    },
    "cracktile_arthurflor": {
        "title": "Cracked ceramic tiles of surface-crack-detection",
        "authors": "Ruiz et al., 2021",
        "url": "https://github.com/arthurflor23/surface-crack-detection",
        "licence": "MIT",
    },
    "uavcrack": {
        "title": "UAVCRACK tiles of model-crack (bridge decks and pavements)",
        "authors": "bridging-big-data, 2022",
        "url": "https://github.com/bridging-big-data/model-crack",
        "licence": "MIT (licence of the repository)",
    },
    "cc0_surfaces": {
        "title": "Textures of intact surfaces from Poly Haven, ambientCG, nobiax, scikit-image and repositories of "
        "simulators; concrete textures by agf81; gazebo_models",
        "authors": "agf81 and Nathan Koenig (CC BY 3.0), others",
        "licence": "CC0, MIT-0, Apache-2.0 and CC BY 3.0, by picture",
    },
}
_SAME_PHOTOGRAPHS = {"sdnet2018_hardneg": "sdnet2018", "sdnet2018_mined": "sdnet2018"}

_PIXELS = {COLOUR: "BGR", GREY: "luminance (ITU-R BT.601)"}
SEVERITY_CLASSES = ("narrow", "wide")
_NO_STRUCTURE = "float32 (N,), probability that the tile shows no structure, but for example a plant or a vehicle"
FIGURES = ("metrics", "visible", "calibration", "unseen_sources", "unseen_means", "crops")
DETAILED_FIGURES = ("interference", "width_detection", "left_out_sources")


def write_model(
    directory: Path, trained: TrainedModel, name: str, command: str, compact: bool = False
) -> dict[str, Any]:
    """Write the graph and a model card without evaluation results.

    Args:
        directory: Model folder; created if needed, existing files are replaced.
        trained: Result of ``train_model`` or ``train_student``.
        name: Name of the model.
        command: Command line of the training, for the card.
        compact: Compress the graph.

    Returns:
        The model card.
    """
    report, training, structure = trained.decision.report, trained.training_report, trained.structure
    card = {
        "format": "crack_perception/model",
        "format_version": FORMAT_VERSION,
        "name": name,
        **write_graph(directory, trained.graph, compact),
        "backbone": trained.backbone,
        "parameters": trained.parameters,
        "macs_per_tile": trained.macs_per_tile,
        "tile_px": TILE_PX,
        "threshold": round(trained.decision.threshold, 4),
        "input": {
            "tiles": (
                f"uint8 (N, {TILE_PX}, {TILE_PX}, {trained.channels}), {_PIXELS[trained.channels]}, native resolution"
            ),
            "channels": trained.channels,
        },
        "outputs": {
            "crack_score": "float32 (N,), calibrated probability that the tile shows a crack",
            "wide_score": "float32 (N,), probability that the crack is wider than severity.edge_px",
            "log_width_px": "float32 (N,), natural logarithm of the mean crack width in pixels",
            "log_width_sigma": "float32 (N,), standard deviation of log_width_px",
            **(
                {NO_STRUCTURE_OUTPUT: "float32 (N,), probability that the tile shows no structure"} if structure else {}
            ),
        },
        **({NO_STRUCTURE_ENTRY: structure.report()} if structure else {}),
        "severity": {
            "edge_px": EDGE_PX,
            "classes": list(SEVERITY_CLASSES),
            "truth": "cracks of known width rendered on background tiles",
            "on_unseen_photographs": report["rendered_widths"],
        },
        "sources": sources_of(training["tiles"]) | _source_of_others(training),
        "initialisation": trained.initialisation,
        "training": training,
        "svm": report["svm"],
        "fourier_features": report["fourier_features"],
        "cross_validation": report["cross_validation"],
        "validation": report["out_of_fold"],
        "compression": report["compression"],
        "threshold_rule": (
            f"lowest threshold within {F1_TOLERANCE:g} of the highest mean F1 over sources, at the share of cracked "
            "tiles in whole photographs where it is known, from out-of-fold scores on photographs that the backbone "
            "was not trained on"
        ),
        "command": command,
        "seed": training["seed"],
    }
    _write_card(directory, card)
    return card


def write_refitted_model(
    directory: Path, model: LoadedModel, refitted: RefittedModel, name: str, command: str
) -> dict[str, Any]:
    """Write the graph of a refitted model and a card without evaluation results, from the card of the model before.

    Args:
        directory: Model folder; created if needed, existing files are replaced.
        model: The model before; it may have been read from the same folder.
        refitted: Result of ``refit_model``.
        name: Name of the new model.
        command: Command line, for the card.

    Returns:
        The model card.
    """
    dropped = (*FIGURES, *DETAILED_FIGURES, "graph_sha256", "base_rows")
    card = {key: value for key, value in model.card.items() if key not in dropped}
    card |= {
        "name": name,
        **write_graph(directory, refitted.graph, COMPACT_GRAPH_NAME in model.card["files"]),
        "threshold": round(refitted.threshold, 4),
        "sources": sources_of([*card["training"]["tiles"], *refitted.report["tiles"]]),
        "command": command,
        REFIT_ENTRY: refitted.report,
    }
    _write_card(directory, card)
    return card


def sources_of(strata: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return title, authors and licence of the sources that surfaces like ``sdnet2018/wall`` were taken from."""
    names = {_SAME_PHOTOGRAPHS.get(stratum.split("/")[0], stratum.split("/")[0]) for stratum in strata}
    return {source: SOURCES.get(source, {"licence": "unknown"}) for source in sorted(names)}


def _source_of_others(training: dict[str, Any]) -> dict[str, dict[str, str]]:
    source = training.get("other_pictures_source")
    return {STRATUM: source} if source else {}


def add_figures(directory: Path, card: dict[str, Any], report: dict[str, Any]) -> None:
    """Add the results of :func:`~crack_perception.training.evaluation.report.evaluate_model` and write the README."""
    card |= {name: report[name] for name in (*FIGURES, *DETAILED_FIGURES) if name in report}
    card["severity"]["against_masks"] = report["widths"]
    if "severity" in report:
        card["severity"]["drawn_on_test_tiles"] = report["severity"]
    _write_card(directory, card)
    (directory / "README.md").write_text(readme(card, report), encoding="utf-8")


def _write_card(directory: Path, card: dict[str, Any]) -> None:
    card["inference_sha256"] = inference_sha256(card)
    (directory / CARD_NAME).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
