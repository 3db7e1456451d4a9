"""The policies of a running sidecar, as the commands read and change them over its admin API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sidecar.cli.asking import ask, no_sidecar
from sidecar.cli.policies import Json, Policy, kind_of, read_answer, to_patch, to_wire
from sidecar.errors import ConfigurationError, SidecarError
from sidecar.settings import Settings

_PER_PAGE = 1000
App = tuple[str, str]
"""(user, app)."""


class Found(NamedTuple):
    """A policy that is there, and who manages it."""

    policy: Policy
    managed_by: str
    origin: str


def list_policies(settings: Settings, kind: str, app: App) -> list[Found]:
    """An app's collectors or workflows. Raises SidecarError."""
    found: list[Json] = []
    while len(found) % _PER_PAGE == 0:
        page = len(found) // _PER_PAGE + 1
        listed = asked(settings, "GET", f"{path_of(kind, app)}?page={page}&per_page={_PER_PAGE}")[f"{kind}s"]
        found += listed
        if not listed:
            break
    try:
        return [
            Found(read_answer(kind, wire, *app), wire.get("managed_by", ""), wire.get("origin", "")) for wire in found
        ]
    except ConfigurationError as error:
        raise SidecarError(
            f"what the sidecar answers is not understood here, is it of another version? {error}"
        ) from error


def add(settings: Settings, policies: Sequence[Policy]) -> None:
    """Make policies of one kind and app, all or none. Raises SidecarError."""
    _send(settings, "POST", policies, [to_wire(each) for each in policies])


def change(settings: Settings, policies: Sequence[Policy]) -> None:
    """Replace policies of one kind and app, all or none. Raises SidecarError."""
    _send(settings, "PATCH", policies, [to_patch(each) for each in policies])


def asked(settings: Settings, method: str, path: str, content: Mapping[str, Any] | None = None) -> Json:
    """The answer's JSON. Raises SidecarError."""
    try:
        answer: Json = json.loads(ask(settings, method, path, content))
    except ValueError:
        raise SidecarError(no_sidecar(settings.admin)) from None
    return answer


def path_of(kind: str, app: App) -> str:
    return f"/v2/users/{app[0]}/apps/{app[1]}/{kind}s"


def _send(settings: Settings, method: str, policies: Sequence[Policy], wires: list[Json]) -> None:
    first = policies[0]
    asked(
        settings, method, path_of(kind_of(first), (first.user_id, first.app_id)), {f"{kind_of(first)}s": wires}
    )  # fmt: skip
