# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The protocol of inference backends, and checks that all of them share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from crack_perception.cores import usable_cores
from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel

INPUT_NAME = "tiles"
OUTPUT_NAMES = ("crack_score", "wide_score", "log_width_px", "log_width_sigma")
CELL_OUTPUT = "cell_score"
"""Output of models that locate cracks inside their tiles."""
NO_STRUCTURE_OUTPUT = "no_structure_score"
"""Output of models that distinguish structures from pictures of anything else."""
NO_STRUCTURE_FROM = 0.5
"""Score from which a tile counts as one that shows no structure."""
PARITY = 1e-3
"""Largest accepted difference of an output from ONNX Runtime on a CPU in float32."""


# Outputs beyond these are a backend's fault, not a crack: probabilities with room for half precision, and widths.
_PROBABILITY = (-0.01, 1.01)
_PLAUSIBLE = {
    "crack_score": _PROBABILITY,
    "wide_score": _PROBABILITY,
    "log_width_px": (-20.0, 20.0),
    "log_width_sigma": (0.0, 20.0),
    CELL_OUTPUT: _PROBABILITY,
    NO_STRUCTURE_OUTPUT: _PROBABILITY,
}


CELL_THRESHOLDS = (0.5, 0.9)
"""A cell from the lower score on holds a crack if it is connected with one from the higher score on."""


class InferenceFailed(Exception):
    """The backend could not run this batch; the message gives the reason."""


@dataclass(frozen=True)
class TileScores:
    """Outputs of a model for N tiles; every array is float32 (N,), unless stated otherwise.

    Attributes:
        crack_score: Calibrated probability that the tile shows a crack.
        wide_score: Probability that the crack is wider than the model's ``wide_edge_px``.
        log_width_px: Natural logarithm of the mean crack width in pixels; undefined without a crack.
        log_width_sigma: Standard deviation of ``log_width_px``.
        cell_score: (N, model.cells) score of every cell of the tile, row by row; None for a model without cells.
        no_structure_score: Probability that the tile shows no structure, but a plant, a vehicle, a person or the sky;
            None for a model that does not compute it. Such a tile has a low ``crack_score`` too.
    """

    crack_score: npt.NDArray[np.float32]
    wide_score: npt.NDArray[np.float32]
    log_width_px: npt.NDArray[np.float32]
    log_width_sigma: npt.NDArray[np.float32]
    cell_score: npt.NDArray[np.float32] | None = None
    no_structure_score: npt.NDArray[np.float32] | None = None


class InferenceBackend(Protocol):
    """Runs one model on batches of tiles; used by one thread at a time, not always by the one that opened it."""

    @property
    def description(self) -> str:
        """Library, version and device, for diagnostics, for example ``onnxruntime 1.20.1 CPUExecutionProvider``."""
        ...

    @property
    def batch(self) -> int:
        """Number of tiles per call that is fastest for a whole frame; any other number works too."""
        ...

    @property
    def tolerance(self) -> float:
        """Largest accepted difference from ONNX Runtime; more than ``PARITY`` only by choice of the user."""
        ...

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, *model.tile_shape) uint8, N >= 1: BGR, or luminance where the model has one channel.

        Raises:
            InferenceFailed: The batch could not be computed.
        """
        ...

    def close(self) -> None:
        """Free all resources; the backend cannot run afterwards. A second call does nothing."""
        ...


@dataclass(frozen=True)
class CallShape:
    """Division of a batch into calls of the inference library.

    Attributes:
        threads: Threads that compute at the same time.
        tiles: Tiles of one call of the library, for each thread that the call uses.
    """

    threads: int
    tiles: int

    def __str__(self) -> str:
        return f"{self.threads} thread{'s' if self.threads > 1 else ''} with {self.tiles} tiles a call"


@runtime_checkable
class TunableBackend(InferenceBackend, Protocol):
    """A backend whose calls can be shaped; its scores are the same whatever the shape."""

    def shapes(self) -> Sequence[CallShape]:
        """Return the shapes to choose from, the default first; what the user has set is the same in all of them."""
        ...

    def use(self, shape: CallShape) -> None:
        """Use a shape from now on, which changes ``batch``."""
        ...


def thread_count(threads: int) -> int:
    """Return the number of threads: as requested, or for 0 all cores but at most two, to spare the flight stack."""
    return threads or min(2, usable_cores())


def output_sizes(model: LoadedModel) -> dict[str, int]:
    """Return the outputs of a model with their number of values per tile."""
    return {
        **dict.fromkeys(OUTPUT_NAMES, 1),
        **({CELL_OUTPUT: model.cells} if model.cells else {}),
        **({NO_STRUCTURE_OUTPUT: 1} if model.has_structure_score else {}),
    }


def check_tiles(tiles: npt.NDArray[np.uint8], tile_shape: tuple[int, int, int]) -> None:
    """Refuse a batch that is not ``(N >= 1, *tile_shape)`` uint8.

    Raises:
        InferenceFailed: It is not.
    """
    if tiles.dtype != np.uint8 or tiles.ndim != 4 or not len(tiles) or tiles.shape[1:] != tile_shape:
        wanted = ", ".join(map(str, tile_shape))
        raise InferenceFailed(f"a batch of {tiles.dtype} {tiles.shape} is not (N, {wanted}) uint8, N at least 1")


def check_graph(model: LoadedModel, inputs: Mapping[str, Sequence[object]], outputs: Collection[str]) -> None:
    """Check that a graph has all required tensors and matches its card.

    Args:
        model: Whose graph it is.
        inputs: Name -> shape; only the number of tiles may be left open.
        outputs: Names.

    Raises:
        UserError: A tensor is missing, or the graph takes other tiles than the card states.
    """
    missing = ({INPUT_NAME} - set(inputs)) | (set(output_sizes(model)) - set(outputs))
    if missing:
        raise UserError(f"{model.directory}: the graph has no {', '.join(sorted(missing))}", "Train it again")
    shape = tuple(inputs[INPUT_NAME])
    if shape[1:] != model.tile_shape:
        raise UserError(
            f"{model.directory}: the graph takes tiles of {shape[1:]}, the card states {model.tile_shape}",
            "Restore both from the same training",
        )


def tile_scores(outputs: Mapping[str, npt.ArrayLike], count: int, sizes: Mapping[str, int]) -> TileScores:
    """Convert the outputs of a backend to scores: plausible numbers for every tile and output.

    Args:
        outputs: By name; ``(count,)`` or ``(count, size)`` each, dimensions of 1 beside.
        count: Tiles of the batch.
        sizes: Expected number of values per tile, from ``output_sizes``.

    Raises:
        InferenceFailed: There is another number of values, or one is not finite or not plausible.
    """
    try:
        arrays = {name: np.array(outputs[name], dtype=np.float32) for name in sizes}
    except (KeyError, TypeError, ValueError) as error:
        raise InferenceFailed(f"the model's outputs are missing or no numbers ({error})") from error
    for name, values in arrays.items():
        if values.size != count * sizes[name]:
            raise InferenceFailed(f"the model's {name} is {values.shape} for a batch of {count} tiles")
    # NaN compares false with the threshold and would pass as intact concrete.
    unusable = [name for name, values in arrays.items() if not np.all(np.isfinite(values))]
    if unusable:
        raise InferenceFailed(f"the model's {', '.join(unusable)} holds values that are not finite")
    for name, values in arrays.items():
        least, most = _PLAUSIBLE[name]
        for value in (float(values.min()), float(values.max())):
            if not least <= value <= most:
                raise InferenceFailed(f"the model's {name} holds {value:g}, outside {least:g}..{most:g}")
    cells = arrays.pop(CELL_OUTPUT, None)
    return TileScores(
        **{name: values.reshape(count) for name, values in arrays.items()},
        cell_score=None if cells is None else cells.reshape(count, -1),
    )
