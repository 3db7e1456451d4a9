"""The failed tries of a job for one destination, as its row keeps them: a few at the beginning, the last ones, and how
many there were between.

Pure. The text is small, as each retry writes it anew: what a try says that the one before said already is not repeated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

FIRST = 3
LAST = 15
DETAIL_CHARACTERS = 200
_SHORT = 2
"""The length of an entry that says what the one before said: its attempt and its time."""


class Try(NamedTuple):
    """A try that failed, `at` in seconds since the epoch. `attempt` counts from 1 since the job was queued, and again
    from 1 after it was put back by hand."""

    attempt: int
    at: float
    reason: str
    detail: str


class Tries(NamedTuple):
    """In order; `left_out` of them stood after the first `FIRST`."""

    kept: tuple[Try, ...] = ()
    left_out: int = 0


NONE = Tries()


def add(text: str, tried: Try) -> str:
    """The text of the tries in `text` and one more. Works on what is written: a full one is not read for it."""
    left_out: int
    entries: list[list[Any]]
    left_out, *entries = orjson.loads(text or "[0]")
    words = [tried.reason, tried.detail[:DETAIL_CHARACTERS]]
    said = next((entry[2:] for entry in reversed(entries) if len(entry) > _SHORT), None)
    entries.append([tried.attempt, round(tried.at, 3), *(() if words == said else words)])
    if len(entries) > FIRST + LAST:
        _, _, *lost = entries.pop(FIRST)
        left_out += 1
        if len(entries[FIRST]) == _SHORT:
            entries[FIRST] += lost  # if the lost one said nothing itself, the one before still says it for both
    return orjson.dumps([left_out, *entries]).decode()


def read(text: str) -> Tries:
    """The tries in `text`; blank is none."""
    if not text:
        return NONE
    left_out, *entries = orjson.loads(text)
    kept: list[Try] = []
    for attempt, at, *words in entries:
        reason, detail = words or kept[-1][2:]
        kept.append(Try(attempt, at, reason, detail))
    return Tries(tuple(kept), left_out)
