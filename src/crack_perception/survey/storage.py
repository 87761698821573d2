# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Output folder of a survey, local or in object storage (fsspec): whole files or none."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa

from crack_perception.documents import parse_json
from crack_perception.errors import UserError, file_error
from crack_perception.mapping.storage.atomic_file import replace_file, write_atomically

# Part of the names of files that are not complete, here and in atomic_file.
_PARTIAL = ".partial-"


class FatalError(UserError):
    """Error that all other tasks would meet too, so that it ends the run."""


class Storage:
    """Files below a folder or URL.

    Args:
        url: Local folder, or a URL of fsspec such as ``s3://bucket/folder``.

    Raises:
        UserError: There is no such protocol, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UserError(f"{url}: cannot be opened ({error})", "Install the package, or give a folder") from error
        self._root = str(root).rstrip("/")

    @property
    def folder(self) -> Path | None:
        """Local folder; None in object storage."""
        return Path(self._root) if "file" in self._protocols() else None

    @property
    def filesystem(self) -> Any:
        """File system of fsspec."""
        return self._files

    def path(self, name: str) -> str:
        """Return the path of a file in its file system."""
        return f"{self._root}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            UserError: It cannot be written; a FatalError in a local folder.
        """
        with self._reported(name, "written"):
            folder = self.folder
            if folder is not None:
                write_atomically(folder / name, data)
            else:
                self._files.pipe_file(self.path(name), data)  # objects appear when they are complete

    def upload(self, name: str, path: Path) -> None:
        """Copy a local file, whole or not at all; the local one may be gone afterwards.

        Raises:
            UserError: It cannot be written; a FatalError in a local folder.
        """
        target = self.path(name)
        with self._reported(name, "written"):
            if self.folder is None:
                self._files.put_file(str(path), target)
                return
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            partial = Path(f"{target}{_PARTIAL}{uuid.uuid4().hex}")
            try:
                with path.open("rb") as source, partial.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                replace_file(partial, Path(target))
            except OSError:
                partial.unlink(missing_ok=True)  # it would take the room that is missing
                raise

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None where there is none.

        Raises:
            UserError: It cannot be read.
        """
        with self._reported(name, "read"):
            try:
                return bytes(self._files.cat_file(self.path(name)))
            except FileNotFoundError:
                return None

    def content(self, name: str) -> bytes:
        """Return the content of a file that must exist.

        Raises:
            UserError: It does not exist, or cannot be read.
        """
        data = self.read(name)
        if data is None:
            raise self._missing(name)
        return data

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """Open a file for reading it in pieces.

        Raises:
            UserError: It does not exist, or cannot be read.
        """
        with self._reported(name, "read"):
            try:
                file = self._files.open(self.path(name), "rb")
            except FileNotFoundError as error:
                raise self._missing(name) from error
        with file:
            try:
                yield file
            except pa.ArrowException as error:
                raise UserError(
                    f"{self.url}/{name}: is damaged ({error})",
                    "Remove its folder, and run crack_perception survey again",
                ) from error

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, see ``write``."""
        self.write(name, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def read_json(self, name: str) -> Any | None:
        """Return the content of a JSON file; None where there is none, or it is damaged."""
        data = self.read(name)
        try:
            return None if data is None else parse_json(data)
        except ValueError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return the names of the entries of a folder, sorted; none where it does not exist.

        Raises:
            UserError: It cannot be listed.
        """
        with self._reported(folder, "listed"):
            self._files.invalidate_cache()
            try:
                entries = self._files.ls(self.path(folder), detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(entry).rstrip("/").rpartition("/")[2] for entry in entries)

    def remove(self, folder: str) -> None:
        """Remove a folder with its files; it may be missing.

        Raises:
            UserError: It cannot be removed.
        """
        with self._reported(folder, "removed"), suppress(FileNotFoundError):
            self._files.invalidate_cache()
            if self._files.exists(self.path(folder)):
                self._files.rm(self.path(folder), recursive=True)

    def remove_partial(self, folder: str) -> None:
        """Remove incomplete files of processes that were killed.

        Raises:
            UserError: One cannot be removed.
        """
        for name in self.names(folder):
            if _PARTIAL in name:
                self.remove(f"{folder}/{name}")

    @contextmanager
    def _reported(self, name: str, verb: str) -> Iterator[None]:
        """Report failures of the storage as errors of the user, whatever its package raises."""
        try:
            yield
        except UserError as error:
            raise self._weighed(error, verb) from error
        except Exception as error:
            where = f"{self.url}/{name}"
            if self.folder is not None:
                if isinstance(error, OSError):
                    raise self._weighed(file_error(where, error, verb=verb), verb) from error
                raise
            # Packages of protocols raise types of their own, for example where no server answers.
            text = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{where}: cannot be {verb} ({text})", "Check address, bucket, credentials and network"
            ) from error

    def _missing(self, name: str) -> UserError:
        return UserError(
            f"{self.url}/{name}: does not exist", "Remove its folder, and run crack_perception survey again"
        )

    def _weighed(self, error: UserError, verb: str) -> UserError:
        """Return the error as one that ends the run where nothing else can be written either."""
        is_fatal = verb != "read" and self.folder is not None
        return FatalError(error.problem, error.remedy) if is_fatal else error

    def _protocols(self) -> tuple[str, ...]:
        protocol = self._files.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)
