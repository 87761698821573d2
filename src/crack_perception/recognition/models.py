# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Models on disk: found by name, verified by SHA-256, loaded without running any code.

A folder holds the graph as it is (``model.onnx``) or packed (``model.onnx.xz``). The card has the SHA-256 of the file
under ``files``, if it is packed that of the graph inside as ``graph_sha256``, and as ``inference_sha256`` that of its
own entries which change what the model computes, so that a damaged threshold is noticed too.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.documents import parse_json
from crack_perception.errors import UsageError, UserError
from crack_perception.paths import models_directory, user_path
from crack_perception.recognition.compact_graph import compress_graph, decompress_graph
from crack_perception.vision.tiling import COLOUR, GREY

CARD_NAME = "card.json"
GRAPH_NAME = "model.onnx"
COMPACT_GRAPH_NAME = "model.onnx.xz"
_OWN_HASH = "inference_sha256"
_HASHED_ENTRIES = ("name", "tile_px", "input", "threshold")
NO_STRUCTURE_ENTRY = "no_structure"
"""Entry of the card of a model that distinguishes structures from pictures of anything else."""
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
        stored_bytes: Size of the file that holds the graph, packed or not.
        tile_px: Side of its square input tiles [px].
        channels: Channels of its tiles: 3 for BGR, 1 for luminance; 3 where the card does not state it.
        threshold: Crack score from which a tile counts as cracked.
        wide_edge_px: Crack width in pixels that separates the two classes of ``wide_score``.
        cells: Number of cells of a tile whose scores the model computes, the square of their number a side; 0 for a
            model that does not locate cracks inside its tiles.
        has_structure_score: Whether it also computes the probability that a tile shows no structure.
    """

    name: str
    directory: Path
    card: dict[str, Any]
    graph: bytes
    sha256: str
    stored_bytes: int
    tile_px: int
    channels: int
    threshold: float
    wide_edge_px: float
    cells: int = 0
    has_structure_score: bool = False

    @property
    def tile_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of a tile."""
        return self.tile_px, self.tile_px, self.channels


def shipped_models() -> list[str]:
    """Names of the models in the package, sorted."""
    return sorted(path.parent.name for path in models_directory().glob(f"*/{CARD_NAME}"))


def model_directory(name_or_path: str) -> Path:
    """Return the folder of a shipped model (by name) or of a path.

    Raises:
        UsageError: There is none.
    """
    shipped = shipped_models()
    if name_or_path in shipped:
        return models_directory() / name_or_path
    choice = f"one of {', '.join(shipped) or '(none installed)'}, or a folder that holds {CARD_NAME}"
    if not name_or_path:
        raise UsageError("no model is named", f"Give {choice}")
    path = user_path(name_or_path, "model")
    if (path / CARD_NAME).is_file():
        return path
    if path.is_file():
        raise UsageError(f"the model '{name_or_path}' is a file", f"Give {choice}")
    if path.is_dir():
        raise UsageError(f"the folder '{name_or_path}' holds no {CARD_NAME}", f"Give {choice}")
    similar = difflib.get_close_matches(name_or_path.lower(), shipped, n=1)
    meant = f"Did you mean '{similar[0]}'? " if similar else ""
    raise UsageError(f"there is no model '{name_or_path}'", f"{meant}Give {choice}")


def verify_files(directory: Path, card: dict[str, Any]) -> None:
    """Verify the SHA-256 of every file that the card lists, and of the card's own entries.

    Raises:
        UserError: A file is missing or differs, not exactly one of them holds the graph, or the card was changed.
    """
    _graph_name(directory, card)
    # Cards from before version 1.0 have none.
    if _OWN_HASH in card and card[_OWN_HASH] != inference_sha256(card):
        raise UserError(
            f"{directory / CARD_NAME}: its {_OWN_HASH} is not that of {', '.join(_HASHED_ENTRIES)} and "
            "severity.edge_px",
            _REINSTALL,
        )
    for name, expected in card["files"].items():
        # A card may come from anywhere: what it names must lie beside it.
        if Path(name).name != name:
            raise UserError(f"{directory / CARD_NAME}: lists '{name}', which is not a file of its folder", _REINSTALL)
        path = directory / name
        if not path.is_file():
            raise UserError(f"{path}: is missing", _REINSTALL)
        _verify_bytes(str(path), path.read_bytes(), expected)


def inference_sha256(card: dict[str, Any]) -> str:
    """SHA-256 of the entries of a card that change what its model computes."""
    severity = card.get("severity")
    entries = [card.get(name) for name in _HASHED_ENTRIES]
    entries.append(severity.get("edge_px") if isinstance(severity, dict) else None)
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _verify_bytes(where: str, data: bytes, expected: object) -> None:
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        raise UserError(f"{where}: SHA-256 is {actual[:16]}..., the card states {str(expected)[:16]}...", _REINSTALL)


def _graph_name(directory: Path, card: dict[str, Any]) -> str:
    """Name of the one file that holds the graph."""
    files = card.get("files")
    names = [name for name in (GRAPH_NAME, COMPACT_GRAPH_NAME) if isinstance(files, dict) and name in files]
    if len(names) != 1:
        raise UserError(
            f"{directory / CARD_NAME}: lists {' and '.join(names) or f'no {GRAPH_NAME} or {COMPACT_GRAPH_NAME}'} under"
            " 'files'",
            _REINSTALL,
        )
    return names[0]


def _read_graph(path: Path, card: dict[str, Any]) -> bytes:
    """The graph of a verified file, unpacked and verified again if it is packed."""
    data = path.read_bytes()
    if path.name == GRAPH_NAME:
        return data
    graph = decompress_graph(data, str(path), _REINSTALL)
    _verify_bytes(f"{path}, unpacked", graph, card.get("graph_sha256"))
    return graph


def write_graph(directory: Path, graph: bytes, compact: bool) -> dict[str, Any]:
    """Write a graph into a model's folder, instead of the one that is there.

    Args:
        directory: Created if needed.
        graph: Bytes of the ONNX graph.
        compact: Pack it.

    Returns:
        Entries of the card: ``files``, ``bytes_total`` and, if packed, ``graph_sha256``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name, other = (COMPACT_GRAPH_NAME, GRAPH_NAME) if compact else (GRAPH_NAME, COMPACT_GRAPH_NAME)
    data = compress_graph(graph) if compact else graph
    (directory / name).write_bytes(data)
    (directory / other).unlink(missing_ok=True)
    entries: dict[str, Any] = {"files": {name: hashlib.sha256(data).hexdigest()}, "bytes_total": len(data)}
    return {**entries, "graph_sha256": hashlib.sha256(graph).hexdigest()} if compact else entries


def load_model(name_or_path: str) -> LoadedModel:
    """Read and verify a model by shipped name or folder.

    Raises:
        UserError: No such model, an unreadable card, a missing or changed file, a packed graph that cannot be unpacked.
    """
    directory = model_directory(name_or_path)
    card_path = directory / CARD_NAME
    try:
        card = parse_json(card_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{card_path}: is not a readable model card ({error})", _REINSTALL) from error
    if not isinstance(card, dict):
        raise UserError(f"{card_path}: is not a model card, which is a JSON object", _REINSTALL)
    verify_files(directory, card)
    graph_path = directory / _graph_name(directory, card)
    graph = _read_graph(graph_path, card)
    try:
        model = LoadedModel(
            name=str(card["name"]),
            directory=directory,
            card=card,
            graph=graph,
            sha256=hashlib.sha256(graph).hexdigest(),
            stored_bytes=graph_path.stat().st_size,
            tile_px=int(card["tile_px"]),
            channels=int(card.get("input", {}).get("channels", COLOUR)),
            threshold=float(card["threshold"]),
            wide_edge_px=float(card["severity"]["edge_px"]),
            cells=int(card.get("cells", {}).get("per_side", 0)) ** 2,
            has_structure_score=NO_STRUCTURE_ENTRY in card,
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{card_path}: name, tile_px, input.channels, threshold, severity.edge_px or cells.per_side is missing or "
            f"wrong ({error})",
            _REINSTALL,
        ) from error
    if not (
        model.tile_px >= 1
        and model.channels in (GREY, COLOUR)
        and 0 < model.threshold < 1
        and model.wide_edge_px > 0
        and model.cells <= model.tile_px**2
    ):
        raise UserError(
            f"{card_path}: tile_px, input.channels, threshold, severity.edge_px or cells.per_side is out of range",
            _REINSTALL,
        )
    return model
