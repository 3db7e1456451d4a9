"""Operators of others: installed distributions name them under the entry-point group `sidecar.operators`.

Loaded once, at the start of the engine and of `sidecar check`, never in the relay. A name that is broken, or another's,
costs that operator alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sidecar.errors import Problem
from sidecar.kit.entry_points import load_entries
from sidecar.workflow.operators.operator import ANYTHING, Operator, Params

GROUP = "sidecar.operators"


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was loaded, and what could not be."""

    kinds: dict[str, type[Operator]]
    broken: dict[str, str]
    """By operator, why."""
    problems: tuple[Problem, ...]
    """One for each of `broken`, and for each distribution that cannot be read."""


def load_plugins(taken: Collection[str], loading: Callable[[str], object] = lambda _: None) -> Plugins:
    """Load what is installed; `taken` are names that no plug-in may have.

    `loading` is told of each entry before its code is run, so that one that hangs or ends the process has a name.
    """
    found = load_entries(GROUP, taken, _operator, loading)
    problems = [Problem(why, "operators") for why in found.unreadable]
    for name, entry in found.taken.items():
        problems.append(_problem(name, f"{entry}: the name is a built-in operator's, which stays"))
    problems += [_problem(name, why) for name, why in found.broken.items()]
    return Plugins(found.loaded, found.broken, tuple(problems))


def _problem(name: str, why: str) -> Problem:
    return Problem(why, f"operator {name}")


def _operator(loaded: object) -> type[Operator] | str:
    """The operator, or what is wrong with it."""
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
