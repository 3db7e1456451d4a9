"""What a contestant's processes use, read from /proc: processor time and memory.

Processor time is utime + stime of the contestant's first process and of all that descend from it. On a machine that
others use too it is steadier than requests a second or latency.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from faults import MeasurementError

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Memory(NamedTuple):
    """Bytes in memory."""

    resident: int
    proportional: int
    """With each shared page divided among all who share it, whoever they are."""
    shared: int
    """The part of the resident that is pages of files which others have mapped too."""


def family(pid: int) -> list[int]:
    """`pid` first, then all that descend from it; nobody for 0."""
    if not pid:
        return []
    children = (_PROC / f"{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def processor_seconds(pid: int) -> dict[int, float]:
    """Seconds that each process of the family has had of a processor so far."""
    return {each: read_processor_seconds((_PROC / f"{each}/stat").read_text()) for each in family(pid)}


def used_seconds(before: Mapping[int, float], after: Mapping[int, float]) -> tuple[float, float]:
    """What the family used in between, and the share of its first process. Raises MeasurementError if one ended."""
    if gone := before.keys() - after.keys():
        raise MeasurementError(f"processes {sorted(gone)} ended while they were measured")
    used = {each: seconds - before.get(each, 0.0) for each, seconds in after.items()}
    return sum(used.values()), next(iter(used.values()), 0.0)


def read_processor_seconds(stat: str) -> float:
    """utime + stime of a /proc/…/stat, whose second field, the name, may hold blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> Memory:
    """Of that one process."""
    return read_memory((_PROC / f"{pid}/smaps_rollup").read_text())


def family_memory(pid: int) -> Memory:
    """Of `pid` and all that descend from it."""
    return together([memory(each) for each in family(pid)])


def together(members: Sequence[Memory]) -> Memory:
    """The sum, in which files that the members share count once: all run the same program, so what the smaller sharers
    share, the largest has mapped too."""
    shared = max((each.shared for each in members), default=0)
    twice = sum(each.shared for each in members) - shared
    resident = sum(each.resident for each in members) - twice
    return Memory(resident, sum(each.proportional for each in members), shared)


def read_memory(rollup: str) -> Memory:
    """Rss, Pss and Shared_Clean of a /proc/…/smaps_rollup."""
    sizes = dict(line.split()[:2] for line in rollup.splitlines()[1:])
    return Memory(*(int(sizes[name]) * 1024 for name in ("Rss:", "Pss:", "Shared_Clean:")))
