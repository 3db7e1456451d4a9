"""`sidecar keys`: make, list, renew and revoke the keys of a running sidecar's admin API.

A token goes to standard output, alone on its line; what is said about it goes to standard error. It is shown once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from sidecar.cli.asking import ask, no_sidecar
from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.settings import Settings

_COLUMNS = ("id", "name", "scopes", "created_at", "created_by", "rotated_at")


def keys(settings: Settings, given: argparse.Namespace) -> int:
    """Exit 0 when it is done, 1 when no sidecar does it. Raises ConfigurationError."""
    _refuse_needless(given)
    try:
        _DOING[given.action](settings, given)
    except SidecarError as error:
        if isinstance(error, ConfigurationError):
            raise
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    return 0


def _refuse_needless(given: argparse.Namespace) -> None:
    """Raises ConfigurationError where a key is missing or too much."""
    needs_key = given.action in ("rotate", "revoke")
    if needs_key and not given.key:
        raise ConfigurationError(Problem("is missing: `sidecar keys list` shows the ids", field="KEY"))
    if not needs_key and given.key:
        raise ConfigurationError(Problem(f"{given.action} takes none", field="KEY"))
    if (given.name is not None) != (given.action == "create"):
        message = "is missing: who uses the key?" if given.name is None else "is for create alone"
        raise ConfigurationError(Problem(message, field="--name"))


def _create(settings: Settings, given: argparse.Namespace) -> None:
    scopes = [scope.strip() for scope in given.scopes.split(",")]
    _show_once(_asked(settings, "POST", "/v1/keys", {"name": given.name, "scopes": scopes}))


def _rotate(settings: Settings, given: argparse.Namespace) -> None:
    _show_once(_asked(settings, "POST", f"/v1/keys/{quote(given.key, safe='')}/rotate"))


def _revoke(settings: Settings, given: argparse.Namespace) -> None:
    revoked = _asked(settings, "DELETE", f"/v1/keys/{quote(given.key, safe='')}")["revoked"]
    sys.stderr.write(f"key {revoked['id']} of {revoked['name']} is revoked\n")


def _list(settings: Settings, _given: argparse.Namespace) -> None:
    Console().print(keys_table(_asked(settings, "GET", "/v1/keys")["keys"]))


def keys_table(listed: Sequence[dict[str, Any]]) -> Table:
    """A row a key; tokens are in none."""
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name.removesuffix("_at"), overflow="fold")
    for key in listed:
        cells = {**key, "scopes": ",".join(key["scopes"])}
        table.add_row(*(str(cells[name] or "–") for name in _COLUMNS))
    return table


def _show_once(answer: dict[str, Any]) -> None:
    key = answer["key"]
    sys.stdout.write(f"{answer['token']}\n")
    sys.stderr.write(f"key {key['id']} of {key['name']}: {', '.join(key['scopes'])}. Its token is shown this once.\n")


def _asked(settings: Settings, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(ask(settings, method, path, content))
    except ValueError:
        raise SidecarError(no_sidecar(settings.admin)) from None
    return answer


_DOING = {"create": _create, "list": _list, "rotate": _rotate, "revoke": _revoke}
