# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rows of known surfaces that are stored beside a model, so that an adaptation does not lose what the model can do.

A row is the features of one labelled tile, one byte per principal component, with its label and the surface that it
shows. The tiles are of photographs that the backbone was not trained on.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel

BASE_ROWS_NAME = "base_rows.npz"
CARD_ENTRY = "base_rows"
_LEVELS = 127
_MOST_ROWS, _MOST_COMPONENTS = 100_000, 4096
_REMEDY = "Restore the folder from the package, or write them again with scripts/base_rows.py"


@dataclass(frozen=True)
class BaseRows:
    """Stored rows.

    Attributes:
        features: ``(N, P)`` float64 principal components.
        labels: ``(N,)`` 1 = crack, 0 = intact.
        surfaces: ``(N,)`` source and surface, for example ``sdnet2018/wall``.
    """

    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    surfaces: npt.NDArray[np.str_]


def encode_base_rows(rows: BaseRows) -> bytes:
    """Encode rows: one signed byte per feature, with one scale per component; equal rows give equal bytes."""
    scales = np.maximum(np.abs(rows.features).max(axis=0), 1e-12) / _LEVELS
    names, surfaces = np.unique(rows.surfaces, return_inverse=True)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        levels=np.rint(rows.features / scales).astype(np.int8),
        scales=scales.astype(np.float32),
        labels=rows.labels.astype(np.uint8),
        surfaces=surfaces.astype(np.uint8),
        names=names,
    )
    return file.getvalue()


def base_rows_entry(data: bytes, rows: BaseRows) -> dict[str, Any]:
    """Return the entry of a model card for encoded rows."""
    return {
        "file": BASE_ROWS_NAME,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "rows": len(rows.labels),
        "cracks": int(rows.labels.sum()),
    }


def read_base_rows(model: LoadedModel) -> tuple[BaseRows, bytes]:
    """Read and verify the rows that are stored beside a model.

    Returns:
        The rows, and the bytes of their file.

    Raises:
        UserError: The model has none, or the file is missing, changed or damaged.
    """
    entry = model.card.get(CARD_ENTRY)
    if not isinstance(entry, dict):
        raise UserError(
            f"{model.directory}: the model has no {BASE_ROWS_NAME}, without which an adaptation could lose accuracy on "
            "known surfaces",
            "Use a shipped model, or write them with scripts/base_rows.py",
        )
    path = model.directory / BASE_ROWS_NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", _REMEDY) from error
    if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
        raise UserError(f"{path}: its SHA-256 is not the one that the card states", _REMEDY)
    return _decoded(data, path), data


def _decoded(data: bytes, path: Path) -> BaseRows:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            levels, scales, labels = stored["levels"], stored["scales"], stored["labels"]
            surfaces = stored["names"][stored["surfaces"]]
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise UserError(f"{path}: cannot be read ({error})", _REMEDY) from error
    fits = (
        levels.ndim == 2
        and scales.shape == levels.shape[1:]
        and labels.shape == surfaces.shape == levels.shape[:1]
        and 0 < levels.shape[0] <= _MOST_ROWS
        and 0 < levels.shape[1] <= _MOST_COMPONENTS
        and levels.dtype == np.int8
        and bool(np.isfinite(scales).all())
        and set(np.unique(labels)) == {0, 1}
    )
    if not fits:
        raise UserError(f"{path}: its arrays do not fit together", _REMEDY)
    return BaseRows(
        levels.astype(np.float64) * scales.astype(np.float64), labels.astype(np.int64), surfaces.astype(np.str_)
    )
