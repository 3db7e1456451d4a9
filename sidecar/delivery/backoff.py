"""When a job is tried again: pure, and the same answer for the same job and attempt.

The long waits only; the quick tries inside one lease are the destination's own. Numbers follow tenacity's
`wait_exponential`, which wants a call under way and so cannot be asked about a row in a database.
"""

from __future__ import annotations

from sidecar.kit.ids import fraction

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 3600.0
_SPREAD = 0.25
_DOUBLINGS = 20


def retry_at(attempts: int, now: float, after_seconds: float | None, key: str) -> float:
    """When to try again after `attempts` tries (from 1), in the unit of `now`: seconds since the epoch.

    5 s, doubled each time up to 1 h, less up to a quarter drawn from `key`, so that jobs that failed together do not
    come back together. `after_seconds`, what the far side asked for, is a lower bound, spread upwards likewise.
    """
    drawn = fraction(key, attempts) * _SPREAD
    doublings = min(max(attempts - 1, 0), _DOUBLINGS)
    seconds = min(FIRST_SECONDS * 2.0**doublings, LONGEST_SECONDS) * (1 - drawn)
    if after_seconds is not None:
        seconds = max(seconds, after_seconds * (1 + drawn))
    return now + seconds
