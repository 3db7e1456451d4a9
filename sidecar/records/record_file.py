"""What a format gives: files, whole, by their path in the store. Values, and the parts of paths. Pure."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from sidecar.datacollector.files import fit


class RecordFile(NamedTuple):
    """`path` is relative to the destination's address, with `/` between its parts."""

    path: str
    content: bytes


def join(*parts: str) -> str:
    """Parts of a path, each as one name whatever stands in it; blank ones are `unknown`."""
    return "/".join(fit(part or "unknown") for part in parts)


def hour(seconds: float) -> tuple[str, str, str, str]:
    """Year, month, day and hour in UTC, as folders are named."""
    year, month, day, hour = f"{_moment(seconds):%Y %m %d %H}".split()
    return year, month, day, hour


def day(seconds: float) -> str:
    """`2026-11-28`, in UTC."""
    return f"{_moment(seconds):%Y-%m-%d}"


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
