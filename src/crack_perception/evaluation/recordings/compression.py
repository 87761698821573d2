"""Decompression that also returns the intact beginning of data that is cut off."""

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

# No chunk or message of a flight comes near: more is damage, or made to fill the memory.
_MOST_BYTES = 1 << 30

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "bz2": bz2.BZ2Decompressor,
}
_ERRORS = (zstd.ZstdError, OSError, RuntimeError, ValueError, EOFError, MemoryError)


def decompress(data: bytes, method: str, cut_off: bool = False) -> bytes:
    """Decompress a whole block.

    Args:
        data: Compressed bytes.
        method: ``zstd``, ``lz4`` or ``bz2``; empty or ``none`` returns the bytes as they are.
        cut_off: Accept data that ends too early and return what it still holds.

    Raises:
        DamageError: The data is damaged, of an unknown method, or larger than 1 GiB.
    """
    if method in ("", "none"):
        return data
    if method not in _DECOMPRESSORS:
        raise DamageError(f"compression {method!r} is not known")
    decompressor = _DECOMPRESSORS[method]()
    try:
        content = bytes(decompressor.decompress(data, max_length=_MOST_BYTES))
    except _ERRORS as error:
        raise DamageError(f"its {method} data is damaged ({error})") from None
    if not decompressor.eof and not cut_off:
        reason = "is larger than 1 GiB" if len(content) >= _MOST_BYTES else "ends too early"
        raise DamageError(f"its {method} data {reason}")
    return content


def open_zstd(path: str) -> Any:
    """Open a ``.zst`` file for reading; damage raises ``ZSTD_ERRORS``."""
    return zstd.open(path, "rb")


ZSTD_ERRORS = (zstd.ZstdError, EOFError)
