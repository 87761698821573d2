# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files that appear under their name only when they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crack_perception.errors import file_error
from crack_perception.mapping.storage.atomic_file import partial_path, replace_file


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file takes the place of ``path`` at the end of the block, not after an error.

    Raises:
        UserError: No room or no permission; the file is then as it was.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        replace_file(partial, path)
    except OSError as error:
        raise file_error(path, error, "Check the folder and its free space") from error
    finally:
        with suppress(OSError):
            partial.unlink()
