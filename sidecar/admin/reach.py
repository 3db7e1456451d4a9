"""What a collector reaches, and who may give it that: no key gets by way of a collector what it may not have itself.

A destination other than the embedded app hands captured inputs on, so naming one takes the scope `inputs` too. One that
names a secret by its place, `{env: …}` or `{file: …}`, would have the sidecar read it out to any address: that is for
whoever has the sidecar's own token, and for the policy files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic.alias_generators import to_snake

from sidecar.admin.auth import LOOPBACK, TOKEN, who_asks
from sidecar.admin.envelope import Code, Refusal
from sidecar.admin.scopes import Scope

_EMBEDDED = "app"
_FIELDS = ("destination", "destinations")
_PLACES = ("env", "file")


def refuse_reach(wires: Sequence[object]) -> None:
    """Raise Refusal if one of the collectors in `wires` would reach beyond whoever asks."""
    who = who_asks()
    if who.id in (LOOPBACK.id, TOKEN.id):
        return
    for index, wire in enumerate(wires):
        names = set(_names_in(_destinations(wire)))
        if not names.isdisjoint(_PLACES):
            _refuse(f"collectors[{index}]", "no key may name a secret by its place: a policy file may")
        if names - {_EMBEDDED} and Scope.INPUTS not in who.scopes:
            _refuse(f"collectors[{index}]", "who says where inputs go needs the scope inputs too")


def _refuse(field: str, message: str) -> None:
    raise Refusal(Code.CONN_INSUFFICIENT_SCOPES, f"{field}.destination: {message}")


def _destinations(wire: object) -> list[object]:
    if not isinstance(wire, Mapping):
        return []
    return [value for name, value in wire.items() if to_snake(str(name)) in _FIELDS and value]


def _names_in(value: object) -> Iterator[str]:
    """Every field's name, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield to_snake(str(name))
            yield from _names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names_in(inner)
