"""When a model that fails is left alone, and when it is asked again: pure, time is handed in.

Closed: calls are made; so many failures in a row open it. Open: none is made until its time is up; then one call is the
probe, which closes it or opens it again for twice as long, up to a minute. Any success closes it. A server that named a
time itself (Retry-After) is left alone until then, whatever the state.
"""

from __future__ import annotations

LONGEST_SECONDS = 60.0
LONGEST_HOLD_SECONDS = 3600.0
PROBE_SECONDS = 1.0
"""What those wait who find a probe under way."""


class Breaker:
    """One server's. All times are `monotonic` seconds."""

    def __init__(self, failures: int, seconds: float) -> None:
        """Opens after `failures` in a row, first for `seconds`."""
        self._most = failures
        self._first_seconds = seconds
        self._failures = 0
        self._seconds = 0.0
        """How long it is open this time; 0 while it is closed."""
        self._until = 0.0
        self._held_until = 0.0
        self._probes = False

    @property
    def is_open(self) -> bool:
        return self._seconds > 0

    def wait_seconds(self, now: float) -> float:
        """How long no call may be made; 0 when one may."""
        seconds = max(self._held_until - now, 0.0)
        if self.is_open:
            seconds = max(seconds, self._until - now, PROBE_SECONDS if self._probes else 0.0)
        return seconds

    def begin(self) -> bool:
        """A call is made, since `wait_seconds` was 0. True if it is the probe."""
        self._probes = self.is_open
        return self._probes

    def succeeded(self) -> bool:
        """The model answered. True if that closed it."""
        was_open = self.is_open
        self._failures, self._seconds, self._probes = 0, 0.0, False
        return was_open

    def failed(self, now: float, *, is_probe: bool) -> bool:
        """A call failed. True if that opened it, or opened it again."""
        if self.is_open:
            return is_probe and self._open(now, self._seconds * 2)
        self._failures += 1
        return self._failures >= self._most and self._open(now, self._first_seconds)

    def left(self, *, is_probe: bool) -> None:
        """A call ended and tells nothing: it was cut off."""
        if is_probe:
            self._probes = False

    def hold(self, now: float, seconds: float) -> None:
        """The server asks to be left alone for `seconds`."""
        self._held_until = max(self._held_until, now + min(seconds, LONGEST_HOLD_SECONDS))

    def _open(self, now: float, seconds: float) -> bool:
        self._failures, self._probes = 0, False
        self._seconds = min(seconds, max(LONGEST_SECONDS, self._first_seconds))
        self._until = now + self._seconds
        return True
