"""The files that a command line names: folders are expanded, and outputs keep off inputs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path


def add_input_arguments(parser: argparse.ArgumentParser, metavar: str) -> None:
    """Declare --recursive and the inputs."""
    parser.add_argument("--recursive", action="store_true", help="with a folder, take the files in its subfolders too")
    parser.add_argument("inputs", nargs="+", type=Path, metavar=metavar, help="files, or folders of them")


def expand_inputs(inputs: list[Path], recursive: bool, with_videos: bool, outside: Path | None = None) -> list[Path]:
    """The files of all inputs, in order; those of a folder by name, where their suffix is that of a picture or video.

    Args:
        outside: A folder whose files are skipped (where the outputs go), unless it is itself an input.

    Raises:
        UsageError: A folder holds no such file.
    """
    from crack_perception.errors import UsageError
    from crack_perception.vision.images.files import PICTURE_SUFFIXES, RAW_SUFFIXES
    from crack_perception.vision.images.video import VIDEO_SUFFIXES

    suffixes = {*PICTURE_SUFFIXES, *RAW_SUFFIXES, *(VIDEO_SUFFIXES if with_videos else ())}
    files: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            files.append(path)
            continue
        skipped = outside.resolve() if outside is not None and outside.resolve() != path.resolve() else None
        found = [file for file in _files_in(path, recursive, skipped) if file.suffix.lower() in suffixes]
        if not found:
            where = "" if recursive else "; --recursive also takes its subfolders"
            raise UsageError(
                f"{path}: holds no pictures{' or videos' if with_videos else ''}", f"Check the path{where}"
            )
        files += found
    return files


def _files_in(folder: Path, recursive: bool, skipped: Path | None) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        if not recursive:
            folders.clear()
        elif skipped is not None:
            folders[:] = [name for name in folders if (Path(place) / name).resolve() != skipped]
        yield from (Path(place) / name for name in sorted(names))


def file_identity(path: Path) -> object:
    """Equal for two paths of one file, whatever links lead there; the resolved path of one that does not exist."""
    try:
        status = path.stat()
    except OSError:
        return path.resolve()
    return status.st_dev, status.st_ino
