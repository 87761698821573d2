# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Progress of a survey: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

_MOST_FAULT_LINES = 3


_BAR = 24
_TERMINAL_S, _FILE_S = 0.5, 15.0


class Progress:
    """Progress of the frames of a run.

    Args:
        stream: Where it is shown; None for stderr.
        clock: Monotonic seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._is_terminal = self._stream.isatty()
        self._begin_s = clock()
        self._shown_s = self._begin_s
        self.expected = self.done = self.repeated = 0
        self._recordings = self._finished = self._bytes = self._known_bytes = 0

    def announce(self, recordings: int, size_bytes: int) -> None:
        """Set the number of recordings and their size, before their frames are known."""
        self._recordings, self._bytes = recordings, size_bytes

    def expect(self, frames: int, size_bytes: int = 0) -> None:
        """Add the frames of a recording of this size, which are known now."""
        self.expected += frames
        self._known_bytes += size_bytes

    def finish_recording(self) -> None:
        """Count a recording that is finished or skipped."""
        self._finished += 1

    def add(self, frames: int, is_repeated: bool = False) -> None:
        """Count finished frames; repeated ones come from an earlier run and do not count for the rate."""
        self.done += frames
        self.repeated += frames if is_repeated else 0
        now_s = self._clock()
        if now_s - self._shown_s >= (_TERMINAL_S if self._is_terminal else _FILE_S):
            self._shown_s = now_s
            self._show(self.line())

    def line(self) -> str:
        """Return the present line."""
        expected = max(self._estimated(), self.done, 1)
        share = self.done / expected
        bar = "#" * round(_BAR * share)
        rate_hz = self.rate_hz
        left = f", {_duration((expected - self.done) / rate_hz)} left" if rate_hz > 0 else ""
        about = "about " if expected > self.expected else ""
        recordings = f", {self._finished} of {self._recordings} recordings" if self._recordings else ""
        frames = f"{self.done} of {about}{expected} frames, {rate_hz:.1f} frames/s"
        return f"[{bar:<{_BAR}}] {share:4.0%}  {frames}{left}{recordings}"

    def _estimated(self) -> int:
        """Return the frames of all recordings; those that are not begun have as many by byte as the others."""
        if not self._known_bytes:
            return self.expected
        return round(self.expected * max(1.0, self._bytes / self._known_bytes))

    @property
    def rate_hz(self) -> float:
        """Frames per second of this run."""
        return (self.done - self.repeated) / max(self._clock() - self._begin_s, 1e-9)

    def note(self, line: str) -> None:
        """Show a line above the bar."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Show the last state."""
        self._show(self.line())
        if self._is_terminal:
            print(file=self._stream, flush=True)

    def _show(self, line: str) -> None:
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
        else:
            print(line, file=self._stream, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def fault_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what the reader of a finished recording's results must know, the most frequent faults first.

    Args:
        summary: Of ``finish_recording``.
    """
    frames, posed = summary["frames"], summary["posed_frames"]
    lines = [] if posed or not summary["faults"] else [f"none of its {frames} frames has a place in the map"]
    counts = sorted(summary["faults"].items(), key=lambda item: -item[1])
    texts = summary["fault_texts"]
    lines += [f"{count} x {texts.get(kind, kind)}" for kind, count in counts[:_MOST_FAULT_LINES]]
    more = len(counts) - _MOST_FAULT_LINES
    return [*lines, f"{more} more kinds of faults, see its done.json"] if more > 0 else lines
