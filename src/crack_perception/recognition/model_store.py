"""Models on disk: found by name, verified by SHA-256, loaded without running any code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError
from crack_perception.paths import models_directory

CARD_NAME = "card.json"
GRAPH_NAME = "model.onnx"
_REINSTALL = "Restore the folder from the package or train it again with 'crack_perception train'"


@dataclass(frozen=True)
class LoadedModel:
    """A verified model.

    Attributes:
        name: Its name in the card.
        directory: Where it was read from.
        card: The whole model card.
        graph: Bytes of the ONNX graph.
        sha256: Of the graph.
        tile_px: Side of the square tiles it looks at.
        threshold: Crack score from which a tile counts as cracked.
        wide_edge_px: Crack width in pixels that separates the two classes of ``wide_score``.
    """

    name: str
    directory: Path
    card: dict[str, Any]
    graph: bytes
    sha256: str
    tile_px: int
    threshold: float
    wide_edge_px: float


def shipped_models() -> list[str]:
    """Names of the models in the package, sorted."""
    return sorted(path.parent.name for path in models_directory().glob(f"*/{CARD_NAME}"))


def model_directory(name_or_path: str) -> Path:
    """The folder of a shipped model's name or of a path.

    Raises:
        UserError: There is none.
    """
    path = Path(name_or_path)
    if path.name == name_or_path and (models_directory() / name_or_path / CARD_NAME).is_file():
        return models_directory() / name_or_path
    if (path / CARD_NAME).is_file():
        return path
    raise UserError(
        f"there is no model '{name_or_path}'",
        f"Give one of {', '.join(shipped_models()) or '(none installed)'}, or a folder that holds {CARD_NAME}",
    )


def verify_files(directory: Path, card: dict[str, Any]) -> None:
    """Compare every file that the card lists with its SHA-256.

    Raises:
        UserError: A file is missing or differs.
    """
    files = card.get("files")
    if not isinstance(files, dict) or GRAPH_NAME not in files:
        raise UserError(f"{directory / CARD_NAME}: lists no {GRAPH_NAME} under 'files'", _REINSTALL)
    for name, expected in files.items():
        path = directory / name
        if not path.is_file():
            raise UserError(f"{path}: is missing", _REINSTALL)
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        if actual != expected:
            raise UserError(
                f"{path}: its SHA-256 is {actual[:16]}..., the card says {str(expected)[:16]}...", _REINSTALL
            )


def load_model(name_or_path: str) -> LoadedModel:
    """Read and verify a model by shipped name or folder.

    Raises:
        UserError: No such model, an unreadable card, a missing or changed file.
    """
    directory = model_directory(name_or_path)
    card_path = directory / CARD_NAME
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{card_path}: is not a readable model card ({error})", _REINSTALL) from error
    if not isinstance(card, dict):
        raise UserError(f"{card_path}: is not a model card, which is a JSON object", _REINSTALL)
    verify_files(directory, card)
    graph = (directory / GRAPH_NAME).read_bytes()
    try:
        model = LoadedModel(
            name=str(card["name"]),
            directory=directory,
            card=card,
            graph=graph,
            sha256=hashlib.sha256(graph).hexdigest(),
            tile_px=int(card["tile_px"]),
            threshold=float(card["threshold"]),
            wide_edge_px=float(card["severity"]["edge_px"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{card_path}: name, tile_px, threshold or severity.edge_px is missing or wrong ({error})", _REINSTALL
        ) from error
    if not (model.tile_px >= 1 and 0 < model.threshold < 1 and model.wide_edge_px > 0):
        raise UserError(f"{card_path}: tile_px, threshold or severity.edge_px is out of range", _REINSTALL)
    return model
