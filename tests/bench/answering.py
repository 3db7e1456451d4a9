"""A server that gives every request the same answer, at once, after some seconds, or never.

What stands behind a contestant: a destination that is well, slow or hanging, a mirror's slow sink, and the model where
nginx is not installed. Arguments: the file with the body of the answer, and the delay in seconds or `never`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

_LENGTH = b"content-length:"


class Answering(asyncio.Protocol):
    """One connection; a request counts from its blank line and its Content-Length."""

    def __init__(self, answer: bytes, delay_seconds: float | None) -> None:
        self._answer = answer
        self._delay_seconds = delay_seconds
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._received and (whole_bytes := _request_bytes(self._received)) <= len(self._received):
            del self._received[:whole_bytes]
            self._answer_later()

    def _answer_later(self) -> None:
        if self._transport is None or self._delay_seconds is None:
            return
        if self._delay_seconds:
            asyncio.get_running_loop().call_later(self._delay_seconds, self._transport.write, self._answer)
        else:
            self._transport.write(self._answer)


def _request_bytes(received: bytearray) -> int:
    """How long the request is that begins so; more than is there while its head is not whole."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return len(received) + 1
    head = received[:head_end].lower()
    at = head.find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return head_end + 4 + length


async def serve(answer: bytes, delay_seconds: float | None) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Answering(answer, delay_seconds), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"ready listen={host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    body = Path(sys.argv[1]).read_bytes()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    uvloop.run(serve(head + body, None if sys.argv[2] == "never" else float(sys.argv[2])))
