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
    """The text of the tries in `text` and one more."""
    before, left_out = read(text)
    kept = [*before, tried._replace(at=round(tried.at, 3), detail=tried.detail[:DETAIL_CHARACTERS])]
    if len(kept) > FIRST + LAST:
        del kept[FIRST]
        left_out += 1
    return orjson.dumps([left_out, *_shortened(kept)]).decode()


def _shortened(tries: list[Try]) -> list[list[Any]]:
    said: tuple[str, str] | None = None
    shortened: list[list[Any]] = []
    for attempt, at, *words in tries:
        shortened.append([attempt, at] if said == tuple(words) else [attempt, at, *words])
        said = (words[0], words[1])
    return shortened


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
