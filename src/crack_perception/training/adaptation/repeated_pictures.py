# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pictures that a folder of labelled tiles holds several times: each counts once, and has one label.

A copy would count twice, and would lie on both sides of the cross-validation, whose figures would be too good. A
picture in both classes is a mistake of sorting, from which nothing can be learnt.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from crack_perception.errors import UserError, file_error
from crack_perception.training.adaptation.annotations import AnnotatedPicture

LabelledPicture = tuple[Path, int, str]

_REMEDY = "Keep it in one class"


def with_one_label(
    pictures: list[LabelledPicture], annotated: list[AnnotatedPicture]
) -> tuple[list[LabelledPicture], list[AnnotatedPicture], int]:
    """Return the pictures without the copies, and the number of copies.

    Outlines of one picture from several files are joined. Outlines take precedence over the class of a folder.

    Args:
        pictures: Picture, label and photograph.
        annotated: Pictures with outlined cracks.

    Raises:
        UserError: A picture has two labels or two sizes, or cannot be read.
    """
    contents = _contents({path for path, _, _ in pictures} | {each.path for each in annotated})
    outlined: dict[object, AnnotatedPicture] = {}
    for each in annotated:
        before = outlined.setdefault(contents[each.path], each)
        if before is not each:
            outlined[contents[each.path]] = _joined(before, each)
    sorted_in: dict[object, LabelledPicture] = {}
    for path, label, group in pictures:
        first, first_label, _ = sorted_in.setdefault(contents[path], (path, label, group))
        if first_label != label:
            raise UserError(f"{path}: is the same picture as {first}, which has the other label", _REMEDY)
    for content, (path, label, _) in sorted_in.items():
        if content in outlined and bool(outlined[content].cracks) != bool(label):
            has = "outlines of cracks" if outlined[content].cracks else "annotations without a crack"
            raise UserError(f"{path}: is in a folder of {'crack' if label else 'intact'} tiles and has {has}", _REMEDY)
    left = [picture for content, picture in sorted_in.items() if content not in outlined]
    copies = len(pictures) - len(sorted_in) + len({each.path.resolve() for each in annotated}) - len(outlined)
    return left, list(outlined.values()), copies


def _joined(first: AnnotatedPicture, second: AnnotatedPicture) -> AnnotatedPicture:
    if first.size_px is not None and second.size_px is not None and first.size_px != second.size_px:
        raise UserError(
            f"{second.path}: two annotations state {first.size_px[0]}x{first.size_px[1]} px and "
            f"{second.size_px[0]}x{second.size_px[1]} px",
            "Remove the wrong one",
        )
    return replace(first, cracks=first.cracks + second.cracks, size_px=first.size_px or second.size_px)


def _contents(paths: Iterable[Path]) -> dict[Path, object]:
    """Return a value for each file that is equal for equal contents; files of a size of their own are not read."""
    try:
        sizes = {path: path.stat().st_size for path in paths}
        counts = Counter(sizes.values())
        return {
            path: path if not size else (size, hashlib.sha256(path.read_bytes()).digest() if counts[size] > 1 else None)
            for path, size in sizes.items()
        }
    except OSError as error:
        raise file_error(error.filename, error, "Check the path", "read") from error
