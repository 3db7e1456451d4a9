"""A running sidecar's admin API, as the commands ask it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from sidecar.errors import SidecarError
from sidecar.settings import Address, Settings

TIMEOUT_SECONDS = 10.0


class _Connection(http.client.HTTPConnection):
    """To the admin address, also where it is a Unix socket."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host or "localhost", address.port or None, timeout=TIMEOUT_SECONDS)
        self._path = address.path

    def connect(self) -> None:
        if not self._path:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        return self.sock.connect(self._path)


def ask(settings: Settings, method: str, path: str, content: Mapping[str, Any] | None = None) -> bytes:
    """The body of the answer; `content` goes as JSON. Raises SidecarError, which says what to do."""
    body = None if content is None else json.dumps(content).encode()
    status, answer = asked(settings, method, path, body)
    if status >= http.client.BAD_REQUEST:
        raise SidecarError(refusal(settings.admin, answer))
    return answer


def asked(settings: Settings, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """The answer's status and body, also where it is a refusal. Raises SidecarError when there is none."""
    connection = _Connection(settings.admin)
    headers = {"Authorization": f"Key {settings.admin_token}"} if settings.admin_token else {}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        message = f"no sidecar answers at {settings.admin}: {error}. Is it running? Name its admin address with --admin"
        raise SidecarError(message) from error
    finally:
        connection.close()
    if response.status == http.client.UNAUTHORIZED:
        raise SidecarError(f"the sidecar at {settings.admin} wants its token: set SIDECAR_ADMIN_TOKEN")
    return response.status, answer


def no_sidecar(address: Address) -> str:
    """What to say where something else answers."""
    return f"what answers at {address} is no sidecar's admin API: name its address with --admin"


def refusal(address: Address, answer: bytes) -> str:
    """What a refused request's answer says."""
    try:
        return f"the sidecar at {address} refuses: {json.loads(answer)['status']['details']}"
    except (ValueError, KeyError, TypeError):
        return no_sidecar(address)
