"""A Kafka listener that lets nobody in: as much of the protocol as it takes to be refused a password.

The mock cluster knows no SASL. Source: the Kafka protocol guide, ApiVersions, SaslHandshake and SaslAuthenticate.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

_API_VERSIONS, _HANDSHAKE, _AUTHENTICATE = 18, 17, 36
_UNSUPPORTED_VERSION, _AUTHENTICATION_FAILED = 35, 58
_OFFERED = ((_API_VERSIONS, 0, 0), (_HANDSHAKE, 1, 1), (_AUTHENTICATE, 0, 0), (3, 0, 4), (0, 3, 7), (22, 0, 0))


@contextlib.asynccontextmanager
async def kafka_gate(*, leaves_at: int | None = None) -> AsyncIterator[str]:
    """Gives its address. With `leaves_at` it hangs up at that request instead of answering."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                request = await reader.readexactly(length)
                api, version, correlation = struct.unpack_from(">hhi", request)
                if api == leaves_at:
                    break
                answer = struct.pack(">i", correlation) + _answer_to(api, version)
                writer.write(struct.pack(">i", len(answer)) + answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


def _answer_to(api: int, version: int) -> bytes:
    if api == _API_VERSIONS:
        offered = b"".join(struct.pack(">hhh", *each) for each in _OFFERED)
        return struct.pack(">hi", _UNSUPPORTED_VERSION if version else 0, len(_OFFERED)) + offered
    if api == _HANDSHAKE:
        return struct.pack(">hih5s", 0, 1, 5, b"PLAIN")
    told = b"Authentication failed: Invalid username or password"
    return struct.pack(">hh", _AUTHENTICATION_FAILED, len(told)) + told + struct.pack(">i", 0)


HANDSHAKE = _HANDSHAKE
AUTHENTICATE = _AUTHENTICATE
