"""The headers that a model server wants, with the secrets in them read at each call: a rotated one just works.

Promises that a secret is in no error, and offers to blank it in what a server says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sidecar.errors import Problem
from sidecar.kit.secret_places import fits_a_header, read_secret, why_unread
from sidecar.model_server import ModelServer, SecretFrom
from sidecar.protocol.asked import AwayError
from sidecar.protocol.model_shapes import shape_of

_SHORTEST_MASKED = 8
_BLANK = b"***"


class Credentials(NamedTuple):
    """The headers of one call, and the secrets among them."""

    headers: Mapping[str, str]
    secrets: tuple[str, ...]

    def blanked(self, content: bytes) -> bytes:
        """`content` without our secrets; a very short one is left, as blanking it would garble the rest."""
        for secret in self.secrets:
            if len(secret) >= _SHORTEST_MASKED:
                content = content.replace(secret.encode(), _BLANK)
        return content


async def read_credentials(server: ModelServer) -> Credentials:
    """What a call to `server` is sent with. Raises AwayError when a secret is missing: somebody has to put it there."""
    headers: dict[str, str] = {}
    secrets: list[str] = []
    try:
        for name, value in server.headers:
            headers[name] = value if isinstance(value, str) else await _secret(value, secrets)
        if server.key is not None:
            headers["Authorization"] = f"{shape_of(server).scheme} {await _secret(server.key, secrets)}"
    except (OSError, ValueError) as error:
        raise AwayError("key_missing", f"model {server.id!r}: {why_unread(error)}") from error
    return Credentials(headers, tuple(secrets))


def problems_of_secrets(servers: Iterable[ModelServer]) -> list[Problem]:
    """Secrets of `servers` that cannot be read now. Does I/O, and is blocking."""
    problems = []
    for server in servers:
        places = [("key", server.key), *((f"headers.{name}", value) for name, value in server.headers)]
        for field, place in places:
            if isinstance(place, SecretFrom):
                try:
                    _read(place)
                except (OSError, ValueError) as error:
                    problems.append(Problem(why_unread(error), f"model.{field}", server.origin))
    return problems


async def _secret(place: SecretFrom, secrets: list[str]) -> str:
    secret = await asyncio.to_thread(_read, place) if place.file else _read(place)
    secrets.append(secret)
    return secret


def _read(place: SecretFrom) -> str:
    """Raises OSError or ValueError, neither with the secret."""
    secret = read_secret(place.env, place.file)
    if not fits_a_header(secret):
        raise ValueError(f"{place} holds characters that no header can carry")
    return secret
