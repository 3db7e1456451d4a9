"""What the relay does to a transport, in a way that holds on asyncio's loop and on uvloop, whatever state it is in.

Both loops differ where a transport is closing or has seen FIN: uvloop raises where asyncio does nothing, and reading
that is resumed after FIN tells of that FIN again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_READ_BYTES = 256 * 1024


def pass_fin(transport: asyncio.Transport) -> None:
    """Send FIN after what is still to be written."""
    if not transport.is_closing():
        transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    """Close at once so that the other end sees a reset, not an end. A Unix socket knows no reset: it is closed."""
    _end_in_a_reset(transport)
    transport.abort()


def reset_after_writing(transport: asyncio.Transport) -> None:
    """Likewise, once what is still to be written has been."""
    _end_in_a_reset(transport)
    below: asyncio.Transport = transport.get_extra_info("transport_below", transport)
    below.close()  # not with TLS's own end, which would say that all is well


def _end_in_a_reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def last_words(lost: asyncio.Transport, hearer: asyncio.Transport) -> bytes:
    """What the other end of a lost connection had sent and the loop never read, as writing to it failed first.

    To be asked in `connection_lost`, where the socket is still open. Blank where `hearer` takes no more, and under TLS,
    where it would not be what was said.
    """
    connection = lost.get_extra_info("socket")
    if connection is None or hearer.is_closing() or lost.get_extra_info("sslcontext") is not None:
        return b""
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):
        while piece := os.read(connection.fileno(), _READ_BYTES):
            pieces.append(piece)
    return b"".join(pieces)


def pause(transport: asyncio.Transport | None) -> None:
    """Read no more for now."""
    if transport is not None and not transport.is_closing():
        transport.pause_reading()


def resume(transport: asyncio.Transport | None, *, has_fin: bool) -> None:
    """Read on, unless there is nothing more to read."""
    if transport is not None and not has_fin and not transport.is_closing():
        transport.resume_reading()
