"""What installed distributions name under an entry-point group: loaded, or said what is wrong with it.

Promises that whatever a distribution does wrong costs what it names alone, under its name: it cannot be imported, is
not what the group is for, has the name of another, or its distribution cannot be read. What is printed while it is
loaded goes to standard error. Reads what is installed, and runs a stranger's code: not for the relay.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Generic, TypeVar

T = TypeVar("T")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What was loaded, and what could not be."""

    loaded: dict[str, T]
    broken: dict[str, str]
    """By name, why."""
    taken: dict[str, str]
    """Those whose name is another's already, and who they are."""
    unreadable: tuple[str, ...]
    """The distributions that cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a distribution names."""

    point: metadata.EntryPoint
    distribution: str

    def __str__(self) -> str:
        return f"{self.point.name} of {self.distribution}, {self.point.value}"


def load_entries(
    group: str, taken: Collection[str], make: Callable[[object], T | str], loading: Callable[[str], object]
) -> Found[T]:  # fmt: skip
    """Load what is installed; `taken` are names that nobody may have, `make` gives what is used, or a text: what is
    wrong with it. `loading` is told of each entry before its code is run, so that one that hangs has a name."""
    unreadable: list[str] = []
    entries = list(_entries(group, unreadable))
    times = Counter(entry.point.name for entry in entries)
    found: Found[T] = Found({}, {}, {}, tuple(unreadable))
    for entry in entries:
        name = entry.point.name
        if name in taken:
            found.taken[name] = str(entry)
        elif times[name] > 1:
            found.broken[name] = "several installed distributions name it: " + _all_of(name, entries)
        else:
            loading(str(entry))
            loaded = _load(entry, make)
            if isinstance(loaded, str):
                found.broken[name] = f"{entry}: {loaded}"
            else:
                found.loaded[name] = loaded
    return found


def _all_of(name: str, entries: Sequence[Entry]) -> str:
    return ", ".join(sorted(entry.distribution for entry in entries if entry.point.name == name))


def _entries(group: str, unreadable: list[str]) -> Iterator[Entry]:
    """Every entry of the group, of each distribution the one that imports would find."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            points = distribution.entry_points.select(group=group)
            if not points:  # nor has what is wrong with it any business here
                continue
            name = str(distribution.metadata["Name"])
            label = f"{name} {distribution.version}"
        except Exception as error:  # noqa: BLE001 - one broken package must not hide what the others name
            where = getattr(distribution, "_path", "an installed distribution")
            unreadable.append(f"{where} cannot be read: {_said(error)}")
            continue
        if name.lower() not in seen:
            seen.add(name.lower())
            yield from (Entry(point, label) for point in points)


def _load(entry: Entry, make: Callable[[object], T | str]) -> T | str:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the engine's own standard output is read by the relay
            loaded = entry.point.load()
            return make(loaded)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's code runs into is its own fault
        return f"cannot be loaded: {_said(error)}"


def _said(error: BaseException) -> str:
    """Type and text, in one line: nothing was captured yet that it could repeat."""
    text = " ".join(str(error).split())[:_SHOWN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
