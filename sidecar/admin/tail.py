"""The live tail over HTTP: server-sent events, one an exchange.

`event: exchange` has JSON; `event: missed` says how many a slow reader has lost; a comment goes out while nothing
happens, so that both sides know that the other is there. A stream ends when the sidecar stops, and sooner if that was
asked for: after `limit` exchanges or after `seconds`, and then `event: end` says which of the two it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence

from aiohttp import web

from sidecar.admin import queries
from sidecar.admin.parts import PARTS
from sidecar.admin.queries import query_of
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
_END = b'event: end\ndata: {"reason":"%b"}\n\n'


async def listen(request: web.Request) -> web.StreamResponse:
    """What passes, live: `caller`, `model` and `collector` narrow it, `limit` and `seconds` end it."""
    if request.method == "HEAD":
        return web.Response(headers=_HEADERS)
    tail, streams, asked = request.app[PARTS].tail, request.app[STREAMS], query_of(queries.Tail)
    listener = tail.listen(Wanted(asked.caller, asked.model, asked.collector))
    response = web.StreamResponse(headers=_HEADERS)
    try:
        if request.transport is not None:
            streams[listener] = request.transport
        with contextlib.suppress(ConnectionError):  # whoever listened has left
            await response.prepare(request)
            await _stream(listener, response, asked.limit, asked.seconds)
            await response.write_eof()
    finally:
        tail.leave(listener)
        streams.pop(listener, None)
    return response


async def _stream(
    listener: Listener, response: web.StreamResponse, limit: int | None, seconds: float | None
) -> None:  # fmt: skip
    now, left = asyncio.get_running_loop().time, limit
    ends = math.inf if seconds is None else now() + seconds
    await response.write(b": listening\n\n")
    while left != 0 and now() < ends:
        try:
            async with asyncio.timeout(min(HEARTBEAT_SECONDS, ends - now())):
                news = await listener.next()
        except TimeoutError:
            if now() < ends:
                await response.write(_ALIVE)
            continue
        if news is None:
            return
        missed, events = news
        await response.write(_written(missed, events[:left]))
        left = None if left is None else max(left - len(events), 0)
    await response.write(_END % (b"limit" if left == 0 else b"seconds"))


def _written(missed: int, events: Sequence[bytes]) -> bytes:
    lost = (b'event: missed\ndata: {"exchanges":%d}\n\n' % missed,) if missed else ()
    return b"".join((*lost, *(b"event: exchange\ndata: %b\n\n" % event for event in events)))


async def end_streams(app: web.Application) -> None:
    """At shutdown: those who read hear the end, those who do not are cut off."""
    app[PARTS].tail.close()
    for transport in app[STREAMS].values():
        if transport.get_write_buffer_size():
            transport.abort()
