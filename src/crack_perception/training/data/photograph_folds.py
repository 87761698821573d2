# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cross-validation by photograph: no photograph is used for both fitting and evaluation.

Only photographs that the backbone was not trained on are evaluated, each in one fold. Its training photographs are used
for fitting only, because their features are overfitted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold

from crack_perception.errors import UserError

Rows = npt.NDArray[np.intp]

FOLDS = 5


def photograph_folds(
    groups: npt.NDArray[np.str_], unseen: npt.NDArray[np.bool_], fitting_rows: int | None, seed: int
) -> Iterator[tuple[Rows, Rows]]:
    """Divide rows into fitting and evaluation rows, fold by fold.

    Args:
        groups: ``(N,)`` photographs.
        unseen: ``(N,)`` True for tiles of photographs that the backbone was not trained on.
        fitting_rows: Maximum number of rows of the backbone's training photographs; ``None`` for all.
        seed: Seed of their choice.

    Yields:
        Indices of the fitting rows, and positions *among the unseen rows* of the rows to evaluate.

    Raises:
        UserError: There are fewer unseen photographs than folds.
    """
    evaluated = np.nonzero(unseen)[0]
    photographs = len(np.unique(groups[evaluated]))
    if photographs < FOLDS:
        raise UserError(
            f"{photographs} photographs are too few for {FOLDS} folds",
            f"Provide tiles of at least {FOLDS} photographs",
        )
    seen = seen_rows(groups, unseen)
    if fitting_rows is not None and fitting_rows < len(seen):
        seen = np.random.default_rng(seed).choice(seen, fitting_rows, replace=False)
    for others, held_out in GroupKFold(FOLDS).split(evaluated, groups=groups[evaluated]):
        yield np.concatenate([seen, evaluated[others]]), held_out


def seen_rows(groups: npt.NDArray[np.str_], unseen: npt.NDArray[np.bool_]) -> Rows:
    """Indices of the rows of photographs without any unseen row."""
    return np.nonzero(~unseen & ~np.isin(groups, groups[unseen]))[0]
