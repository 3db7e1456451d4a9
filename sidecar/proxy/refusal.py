"""What the relay says for itself, and only when the model cannot be reached: 502 with its reason, or a reset.

A client that speaks HTTP/1 gets an answer, whose end it sees even while it still uploads: the connection is closed only
after the client has, or after a while (a lingering close). To anything else a reset says as much as a refused
connection would have.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

from sidecar.proxy.sockets import pass_fin, reset

HEAD_SECONDS = 5.0
"""How long a client may take to send something that can be answered."""
LINGER_SECONDS = 5.0
_HTTP1 = re.compile(rb"(\r\n)*[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^ \r\n]+ HTTP/1\.[01]\r\n")


def answer(request: bytes, upstream: str, error: Exception) -> bytes | None:
    """The 502 for what `request` starts with; None when that is not HTTP/1."""
    if _HTTP1.match(request) is None:
        return None
    reason = {
        "error": f"the model server at {upstream} cannot be reached: {str(error) or type(error).__name__}",
        "reason": "upstream_refused",
        "upstream": upstream,
    }
    body = json.dumps(reason).encode()
    head = (
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    )
    return head if request.lstrip().startswith(b"HEAD ") else head + body


class Refusal(asyncio.Protocol):
    """Takes a client's connection over: one read, one answer, and a lingering close."""

    def __init__(
        self, transport: asyncio.Transport, upstream: str, error: Exception, on_lost: Callable[[Exception | None], None]
    ) -> None:
        self._transport = transport
        self._upstream = upstream
        self._error = error
        self._on_lost = on_lost
        self._has_answered = False
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, reset, transport)

    def data_received(self, data: bytes) -> None:
        if self._has_answered:
            return
        said = answer(data, self._upstream, self._error)
        if said is None:
            reset(self._transport)
            return
        self._has_answered = True
        self._transport.write(said)
        pass_fin(self._transport)
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def eof_received(self) -> bool:
        if self._has_answered:
            self._transport.close()
        else:
            reset(self._transport)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._on_lost(exc)
