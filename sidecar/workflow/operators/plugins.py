"""Operators of others: installed distributions name them under the entry-point group `sidecar.operators`.

Loaded once, at the start of the engine and of `sidecar check`, never in the relay. Promises that whatever a
distribution does wrong costs that operator alone, under its name: it cannot be imported, is no operator, has the name
of another, or its distribution cannot be read. What it prints while it is imported goes to standard error. The one part
of this folder that looks outside: it reads what is installed.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from sidecar.errors import Problem
from sidecar.workflow.operators.operator import ANYTHING, Operator, Params

GROUP = "sidecar.operators"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was loaded, and what could not be."""

    kinds: dict[str, type[Operator]]
    broken: dict[str, str]
    """By operator, why."""
    problems: tuple[Problem, ...]
    """One for each of `broken`, and for each distribution that cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One operator that a distribution names."""

    point: metadata.EntryPoint
    distribution: str

    def __str__(self) -> str:
        return f"{self.point.name} of {self.distribution}, {self.point.value}"


def load_plugins(taken: Collection[str], loading: Callable[[str], object] = lambda _: None) -> Plugins:
    """Load what is installed; `taken` are names that no plug-in may have.

    `loading` is told of each entry before its code is run, so that one that hangs or ends the process has a name.
    """
    problems: list[Problem] = []
    entries = list(_entries(problems))
    times = Counter(entry.point.name for entry in entries)
    kinds: dict[str, type[Operator]] = {}
    broken: dict[str, str] = {}
    for entry in entries:
        name = entry.point.name
        if name in taken:
            problems.append(_problem(name, f"{entry}: the name is a built-in operator's, which stays"))
        elif times[name] > 1:
            broken[name] = "several installed distributions name it: " + _all_of(name, entries)
        else:
            loading(str(entry))
            loaded = _load(entry)
            if isinstance(loaded, str):
                broken[name] = f"{entry}: {loaded}"
            else:
                kinds[name] = loaded
    problems += [_problem(name, why) for name, why in broken.items()]
    return Plugins(kinds, broken, tuple(problems))


def _problem(name: str, why: str) -> Problem:
    return Problem(why, f"operator {name}")


def _all_of(name: str, entries: Sequence[Entry]) -> str:
    return ", ".join(sorted(entry.distribution for entry in entries if entry.point.name == name))


def _entries(problems: list[Problem]) -> Iterator[Entry]:
    """Every entry of the group, of each distribution the one that imports would find."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            points = distribution.entry_points.select(group=GROUP)
            if not points:  # nor has what is wrong with it any business here
                continue
            name = str(distribution.metadata["Name"])
            label = f"{name} {distribution.version}"
        except Exception as error:  # noqa: BLE001 - one broken package must not hide what the others name
            where = getattr(distribution, "_path", "an installed distribution")
            problems.append(Problem(f"{where} cannot be read: {_said(error)}", "operators"))
            continue
        if name.lower() not in seen:
            seen.add(name.lower())
            yield from (Entry(point, label) for point in points)


def _load(entry: Entry) -> type[Operator] | str:
    """The operator, or what is wrong with it."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the engine's own standard output is read by the relay
            loaded = entry.point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's import runs into is its own fault
        return f"cannot be loaded: {_said(error)}"
    if not isinstance(loaded, type) or not issubclass(loaded, Operator):
        return f"is no subclass of {Operator.__module__}.{Operator.__name__}"
    return _fault_in(loaded) or loaded


def _fault_in(loaded: type[Operator]) -> str:
    if inspect.isabstract(loaded):
        return f"leaves out {', '.join(sorted(loaded.__abstractmethods__))}"
    if not _is_subclass(loaded.params_model, Params):
        return f"its params_model is no subclass of {Params.__module__}.{Params.__name__}"
    if type(loaded.input_count) is not int or loaded.input_count < 1:
        return "its input_count is no number of nodes"
    for name in ("reads", "gives"):
        fields = getattr(loaded, name)
        if not isinstance(fields, frozenset) or not fields <= ANYTHING:
            return f"what it {name} is no frozenset of the data model's fields: {', '.join(sorted(ANYTHING))}"
    return ""


def _is_subclass(value: object, of: type) -> bool:
    return isinstance(value, type) and issubclass(value, of)


def _said(error: BaseException) -> str:
    """Type and text, in one line: nothing was captured yet that it could repeat."""
    text = " ".join(str(error).split())[:_SHOWN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
