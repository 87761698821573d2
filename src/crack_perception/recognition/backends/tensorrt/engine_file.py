# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""An engine in a file: a header that says what it was built from and for, then TensorRT's bytes.

TensorRT trusts the bytes that it is given, and crashes on wrong ones. The header and the SHA-256 of the bytes are
therefore checked before it sees them. Layout, numbers little-endian::

    8 bytes    magic
    4 bytes    length of the key
    ...        the key, JSON in UTF-8
    8 bytes    length of the engine
    32 bytes   SHA-256 of the engine
    ...        the engine
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from crack_perception.documents import parse_json

MAGIC = b"CRKENG\x00\x02"
_LENGTH = struct.Struct("<I")
_BODY = struct.Struct("<Q32s")
_MOST_KEY_BYTES = 4096


class BadEngineFile(Exception):
    """The file is no whole engine file; the text says why."""


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on: it fits where every field is the same.

    Attributes:
        graph_sha256: Of the model's graph.
        recipe: Version of the way from the model's graph to the one that TensorRT is given.
        precision: One of ``engine_builder.PRECISIONS``.
        tile_px, channels: Of a tile.
        batch: Most tiles a call.
        tensorrt: Version.
        gpu: Name of the GPU that it was built on.
        compute_capability: Of that GPU.
    """

    graph_sha256: str
    recipe: int
    precision: str
    tile_px: int
    channels: int
    batch: int
    tensorrt: str
    gpu: str
    compute_capability: str

    def to_json(self) -> str:
        """The same text for the same key."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def file_name(self) -> str:
        """Of the engine in the cache."""
        return f"{hashlib.sha256(self.to_json().encode()).hexdigest()[:32]}.engine"


def pack_engine(key: EngineKey, engine: bytes) -> bytes:
    """Content of the file."""
    text = key.to_json().encode()
    digest = hashlib.sha256(engine).digest()
    return b"".join((MAGIC, _LENGTH.pack(len(text)), text, _BODY.pack(len(engine), digest), engine))


def read_key(path: Path) -> EngineKey:
    """The key in a file's header.

    Raises:
        BadEngineFile: It cannot be read or has no such header.
    """
    try:
        with path.open("rb") as file:
            return _read_key(file)
    except OSError as error:
        raise BadEngineFile(f"cannot be read ({error.strerror})") from error


def read_engine(path: Path, key: EngineKey) -> bytes:
    """Read and verify the engine in a file.

    Raises:
        BadEngineFile: It cannot be read, was built for another key, is truncated, has surplus bytes, or was changed.
    """
    try:
        with path.open("rb") as file:
            if _read_key(file) != key:
                raise BadEngineFile("was built for something else")
            length, digest = _BODY.unpack(_exactly(file, _BODY.size))
            if path.stat().st_size - file.tell() != length:
                raise BadEngineFile("is truncated or longer than stated in its header")
            engine = _exactly(file, length)
    except OSError as error:
        raise BadEngineFile(f"cannot be read ({error.strerror})") from error
    if hashlib.sha256(engine).digest() != digest:
        raise BadEngineFile("is damaged: the SHA-256 of the engine is not that of its header")
    return engine


def _read_key(file: BinaryIO) -> EngineKey:
    if file.read(len(MAGIC)) != MAGIC:
        raise BadEngineFile("is no engine file of this version")
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    if length > _MOST_KEY_BYTES:
        raise BadEngineFile("has a header that is too long")
    try:
        text = _exactly(file, length)
        fields = parse_json(text)
        key = EngineKey(**fields)
    except (ValueError, TypeError) as error:
        raise BadEngineFile(f"has an unreadable header ({error})") from error
    if any(type(value).__name__ != EngineKey.__annotations__[name] for name, value in fields.items()):
        raise BadEngineFile("has a header with values of wrong types")
    if key.to_json().encode() != text:
        raise BadEngineFile("has a header that was changed")
    return key


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise BadEngineFile("is truncated")
    return data
