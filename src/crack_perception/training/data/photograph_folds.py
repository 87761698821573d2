"""Cross-validation that never judges a photograph that took part in fitting.

The photographs that the backbone never saw are rotated through the folds; its training photographs only ever stand on
the fitting side, because it knows them by heart.
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
    """Rows to fit on and what to judge, fold by fold.

    Args:
        groups: ``(N,)`` photographs.
        unseen: ``(N,)`` True for tiles of photographs that the backbone never saw; all True where it saw none.
        fitting_rows: At most so many rows of the backbone's photographs take part; ``None`` for all.
        seed: Chooses them.

    Yields:
        Indices of the fitting rows, and positions *among the unseen rows* of those to judge.

    Raises:
        UserError: Fewer unseen photographs than folds.
    """
    judged = np.nonzero(unseen)[0]
    photographs = len(np.unique(groups[judged]))
    if photographs < FOLDS:
        raise UserError(
            f"{photographs} photographs cannot be divided into {FOLDS} folds", f"Give tiles of {FOLDS} photographs"
        )
    seen = seen_rows(groups, unseen)
    if fitting_rows is not None and fitting_rows < len(seen):
        seen = np.random.default_rng(seed).choice(seen, fitting_rows, replace=False)
    for others, held_out in GroupKFold(FOLDS).split(judged, groups=groups[judged]):
        yield np.concatenate([seen, judged[others]]), held_out


def seen_rows(groups: npt.NDArray[np.str_], unseen: npt.NDArray[np.bool_]) -> Rows:
    """Indices of the rows whose photograph holds no unseen row."""
    return np.nonzero(~unseen & ~np.isin(groups, groups[unseen]))[0]
