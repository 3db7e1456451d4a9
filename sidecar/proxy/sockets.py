"""What the relay does to a transport, in a way that holds on asyncio's loop and on uvloop, whatever state it is in.

Both loops differ where a transport is closing or has seen FIN: uvloop raises where asyncio does nothing, and reading
that is resumed after FIN tells of that FIN again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def pass_fin(transport: asyncio.Transport) -> None:
    """Send FIN after what is still to be written."""
    if not transport.is_closing():
        transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    """Close at once so that the other end sees a reset, not an end. A Unix socket knows no reset: it is closed."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def pause(transport: asyncio.Transport | None) -> None:
    """Read no more for now."""
    if transport is not None and not transport.is_closing():
        transport.pause_reading()


def resume(transport: asyncio.Transport | None, *, has_fin: bool) -> None:
    """Read on, unless there is nothing more to read."""
    if transport is not None and not has_fin and not transport.is_closing():
        transport.resume_reading()
