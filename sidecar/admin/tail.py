"""The live tail over HTTP: server-sent events, one an exchange.

`event: exchange` has JSON; `event: missed` says how many a slow reader has lost; a comment goes out while nothing
happens, so that both sides know that the other is there. A stream ends by itself when the sidecar stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiohttp import web

from sidecar.admin.parts import PARTS
from sidecar.pipeline.tail import Listener, Wanted

HEARTBEAT_SECONDS = 15.0
STREAMS: web.AppKey[dict[Listener, asyncio.Transport]] = web.AppKey("streams", dict)
"""Those under way, with their connections."""
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",
}
_ALIVE = b": nothing passes\n\n"


async def listen(request: web.Request) -> web.StreamResponse:
    """`caller`, `model` and `collector` narrow it."""
    if request.method == "HEAD":
        return web.Response(headers=_HEADERS)
    tail, streams = request.app[PARTS].tail, request.app[STREAMS]
    wanted = Wanted(*(request.query.get(name, "") for name in Wanted._fields))
    listener, response = tail.listen(wanted), web.StreamResponse(headers=_HEADERS)
    try:
        if request.transport is not None:
            streams[listener] = request.transport
        with contextlib.suppress(ConnectionError):  # whoever listened has left
            await response.prepare(request)
            await _stream(listener, response)
            await response.write_eof()
    finally:
        tail.leave(listener)
        streams.pop(listener, None)
    return response


async def _stream(listener: Listener, response: web.StreamResponse) -> None:
    await response.write(b": listening\n\n")
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                news = await listener.next()
        except TimeoutError:
            await response.write(_ALIVE)
            continue
        if news is None:
            return
        await response.write(_written(*news))


def _written(missed: int, events: Sequence[bytes]) -> bytes:
    lost = (b'event: missed\ndata: {"exchanges":%d}\n\n' % missed,) if missed else ()
    return b"".join((*lost, *(b"event: exchange\ndata: %b\n\n" % event for event in events)))


async def end_streams(app: web.Application) -> None:
    """At shutdown: those who read hear the end, those who do not are cut off."""
    app[PARTS].tail.close()
    for transport in app[STREAMS].values():
        if transport.get_write_buffer_size():
            transport.abort()
