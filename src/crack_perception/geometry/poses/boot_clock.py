# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Stamps of a clock that counts from the start of a device, converted to the node's clock by their time of arrival."""

from __future__ import annotations

# September 2001: a clock that shows less does not show the date.
_LEAST_DATE_NS = 10**18
# The transport delays a message at most by this; a larger difference is another start of the device.
_RESTART_NS = 1_000_000_000
# Clocks drift apart by at most this share (100 ppm).
_DRIFT = 1e-4


class BootClock:
    """Offset between a device's clock and the node's.

    Autopilots that are not synchronised stamp messages with the time since their start. The offset is the least
    difference between arrival and stamp that was seen, so the result is late by the shortest transport delay, and not
    by the jitter of the transport. Stamps with a date (a synchronised device) are not changed, and none is while the
    node's own clock shows no date (a simulator).

    Attributes:
        offset_ns: Present offset; None while stamps are not changed.
    """

    def __init__(self) -> None:
        self.offset_ns: int | None = None
        self._arrived_ns = 0

    def converted(self, stamp_ns: int, now_ns: int) -> int:
        """Return a stamp on the node's clock.

        Args:
            stamp_ns: Stamp of the device.
            now_ns: Time of arrival on the node's clock.
        """
        if stamp_ns >= _LEAST_DATE_NS or now_ns < _LEAST_DATE_NS:
            self.offset_ns = None
            return stamp_ns
        difference_ns = now_ns - stamp_ns
        if self.offset_ns is None or abs(difference_ns - self.offset_ns) > _RESTART_NS:
            self.offset_ns = difference_ns
        else:
            drift_ns = int(_DRIFT * max(0, now_ns - self._arrived_ns))
            self.offset_ns = min(difference_ns, self.offset_ns + drift_ns)
        self._arrived_ns = now_ns
        return stamp_ns + self.offset_ns
