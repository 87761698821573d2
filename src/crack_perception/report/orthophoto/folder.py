# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Output folder of orthophotos: it appears when it is complete, in place of an earlier one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crack_perception.errors import UserError, file_error
from crack_perception.interrupts import uninterrupted
from crack_perception.report.orthophoto.index import INDEX


@contextmanager
def new_orthophotos(out: Path) -> Iterator[Path]:
    """Yield a folder to write to; it takes the place of ``out`` at the end of the block, not after an error.

    Raises:
        UserError: The folder holds other files, or cannot be written.
    """
    if out.exists() and not (out / INDEX).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: holds something else than orthophotos", "Choose another folder with --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
            # A folder of its own in it: a temporary folder can be read by its owner only.
            folder = Path(name) / out.name
            folder.mkdir()
            yield folder
            with uninterrupted():
                if out.exists():
                    out.rename(Path(name) / "earlier")
                folder.rename(out)
    except OSError as error:
        raise file_error(out, error, "Choose another folder with --out") from error
