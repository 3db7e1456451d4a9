"""A model that answers more than anybody holds for it, and a client that stops reading in the middle."""

from __future__ import annotations

import asyncio
from typing import cast

from sidecar.proxy.sockets import pause, resume
from support.relay_end import RelayEnd, predict, read_request

TOTAL_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20
MOST_HELD_BYTES = 2 << 20


class Flood:
    """The model: answers as long as it is read, and tells when it no longer is."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.is_stuck = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL_BYTES)
        while self.sent_bytes < TOTAL_BYTES:
            writer.write(bytes(_PIECE_BYTES))
            self.sent_bytes += _PIECE_BYTES
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                self.is_stuck.set()
                await writer.drain()


async def read_slowly(end: RelayEnd, flood: Flood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stop reading until the model is stuck: little stands in the relay then, and nothing is missing after."""
    writer.write(predict())
    await reader.readuntil(b"\r\n\r\n")
    pause(cast("asyncio.Transport", writer.transport))
    await asyncio.wait_for(flood.is_stuck.wait(), 10)
    assert flood.sent_bytes < TOTAL_BYTES
    [connection] = end.server._relay.connections
    assert connection.transport.get_write_buffer_size() < MOST_HELD_BYTES
    resume(cast("asyncio.Transport", writer.transport), has_fin=False)
    assert len(await reader.readexactly(TOTAL_BYTES)) == TOTAL_BYTES
    writer.close()
