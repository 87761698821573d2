# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decompression (zstd, lz4, bz2), optionally of the intact beginning of truncated data."""

from __future__ import annotations

import bz2
import sys
from collections.abc import Callable
from typing import Any

import lz4.frame  # type: ignore[import-untyped]

from crack_perception.evaluation.recordings.storage import DamageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

# Far above any chunk or message of a flight: larger output is damage or a decompression bomb.
_MAX_BYTES = 1 << 30

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "bz2": bz2.BZ2Decompressor,
}
_ERRORS = (zstd.ZstdError, OSError, RuntimeError, ValueError, EOFError, MemoryError)


def decompress(data: bytes, method: str, truncated: bool = False) -> bytes:
    """Decompress a whole block.

    Args:
        data: Compressed bytes.
        method: ``zstd``, ``lz4`` or ``bz2``; empty or ``none`` returns the bytes as they are.
        truncated: Accept data that ends early and return its intact beginning.

    Raises:
        DamageError: The data is damaged, larger than 1 GiB, or of an unknown method.
    """
    if method in ("", "none"):
        return data
    if method not in _DECOMPRESSORS:
        raise DamageError(f"compression {method!r} is unknown")
    decompressor = _DECOMPRESSORS[method]()
    try:
        content = bytes(decompressor.decompress(data, max_length=_MAX_BYTES))
    except _ERRORS as error:
        raise DamageError(f"its {method} data is damaged ({error})") from None
    if not decompressor.eof and not truncated:
        reason = "is larger than 1 GiB" if len(content) >= _MAX_BYTES else "ends too early"
        raise DamageError(f"its {method} data {reason}")
    return content


def open_zstd(path: str) -> Any:
    """Open a ``.zst`` file for reading; damage raises one of ``ZSTD_ERRORS``."""
    return zstd.open(path, "rb")


ZSTD_ERRORS = (zstd.ZstdError, EOFError)
