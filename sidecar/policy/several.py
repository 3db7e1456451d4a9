"""Several policies of one request: read, found and told apart, all or none; pure.

Promises that a fault names the place of the element that has it, and that the faults of all come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sidecar.collector import Collector, Workflow
from sidecar.errors import ConfigurationError, ConflictError, NotFoundError, Problem
from sidecar.policy.checks import Key, key_of

PolicyT = TypeVar("PolicyT", Collector, Workflow)
Wires = Sequence[object]
Require = Callable[[Collector | Workflow], object]
"""Judges a policy as it is, before it is changed; raises what shall end the call."""


def read_all(wires: Wires, where: str, read: Callable[[object, str], PolicyT]) -> list[PolicyT]:
    """Read every one of `wires`. Raises ConfigurationError with the faults of all."""
    policies: list[PolicyT] = []
    problems: list[Problem] = []
    for index, wire in enumerate(wires):
        try:
            policies.append(read(wire, f"{where}[{index}]"))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return policies


def refuse_repeated(policies: Sequence[Collector | Workflow], taken: Iterable[Key], where: str) -> None:
    """Raise ConflictError if one of `policies` has the id of another, or of what is there already."""
    there, seen = set(taken), set[Key]()
    for index, each in enumerate(policies):
        if key_of(each) in seen:
            raise ConflictError(f"{where}[{index}].id: {each.id!r} stands twice in this request")
        if key_of(each) in there:
            raise ConflictError(f"{where}[{index}].id: {each.id!r} is there already")
        seen.add(key_of(each))


def find(policies: Iterable[PolicyT], kind: str, name: str, where: str = "") -> PolicyT:
    """The one with the id `name`. Raises NotFoundError, which starts with `where`: the field that named it."""
    for each in policies:
        if each.id == name:
            return each
    place = f"{where}: " if where else ""
    raise NotFoundError(f"{place}no {kind} {name!r} in this app")


def find_all(policies: Sequence[PolicyT], kind: str, ids: Sequence[str]) -> tuple[PolicyT, ...]:
    """Those with `ids`, each once. Raises NotFoundError."""
    found = {name: find(policies, kind, name, f"ids[{index}]") for index, name in enumerate(ids)}
    return tuple(found.values())


def accept_any(_policy: Collector | Workflow) -> None:
    """Requires nothing."""


def show_old(own: Iterable[PolicyT], changed: Iterable[PolicyT], require: Require) -> None:
    """Let `require` judge those of `own` that are to be `changed`."""
    names = {each.id for each in changed}
    for each in own:
        if each.id in names:
            require(each)
