"""What a token may do, and who brings it: values only."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple


class Scope(enum.Enum):
    """Each route needs one of these, or none; none of them includes another."""

    READ = "read"
    """See policies, jobs, the ledger, metrics, events and settings: all but what was captured."""
    WRITE = "write"
    """Change policies, jobs, recordings and keys."""
    INPUTS = "inputs"
    """Post, see and delete what was captured."""


ALL = frozenset(Scope)


class Who(NamedTuple):
    """Whoever asks; `id` is what events name: a key's id, `token` or `loopback`."""

    id: str
    scopes: frozenset[Scope]


def write_scopes(scopes: Iterable[Scope]) -> list[str]:
    """Their names, in the order of the enumeration."""
    held = set(scopes)
    return [scope.value for scope in Scope if scope in held]
