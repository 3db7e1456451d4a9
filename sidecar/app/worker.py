"""A further relay: forwards beside the first one, on sockets that it inherits, with a link to the engine of its own.

Promises to end at once when the first relay is gone, and to take the same steps down when that one is told to stop.
What it counts stands in memory that the first relay reads: that one speaks to the engine for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from typing import NoReturn

from sidecar.app.life import end_with_the_relay
from sidecar.app.loop import give_memory_back_in_pieces, run_loop, spare_the_collector
from sidecar.app.signals import Stopping
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.streams import unblocked_streams
from sidecar.kit.tasks import Tasks
from sidecar.proxy import shared_counts
from sidecar.proxy.engine_socket import way_to_engine
from sidecar.proxy.link import Link
from sidecar.proxy.server import RelayServer
from sidecar.proxy.shared_counts import SharedCounts
from sidecar.proxy.workers import Inheritance
from sidecar.settings import Settings

PUBLISH_SECONDS = 0.5


def run_worker(settings: Settings, inherited: Inheritance) -> int:
    """Run until SIGTERM."""
    end_with_the_relay()
    with unblocked_streams(), shared_counts.opened(inherited.counts) as cells:
        events = Events(logs.configure(settings.log_level, process=f"relay {inherited.number}"))
        give_memory_back_in_pieces()
        return run_loop(_serve(settings, inherited, events, SharedCounts(cells)))


async def _serve(settings: Settings, inherited: Inheritance, events: Events, counts: SharedCounts) -> int:
    sockets = tuple(socket.socket(fileno=each) for each in inherited.listening)
    link = Link(way_to_engine(settings.data, inherited.engine), counts, events, _says_nothing)
    server = RelayServer(settings, link, events, counts, bound=sockets)
    stopping = Stopping(events)
    async with _running(link, server, counts, events):
        stopping.listen()
        spare_the_collector()
        sys.stdout.write("ready to relay\n")
        sys.stdout.flush()
        await stopping.wait()
        await server.drain(0.0 if stopping.is_hurried else None)
        await link.stop()
    counts.publish()
    events.stopped()
    return 0


def _says_nothing() -> dict[str, int]:
    """What the engine is told by one whose counts are in what the first relay says."""
    return {"relays": 0}


@contextlib.asynccontextmanager
async def _running(link: Link, server: RelayServer, counts: SharedCounts, events: Events) -> AsyncIterator[None]:
    tasks = Tasks(events.task_failed)
    async with contextlib.AsyncExitStack() as parts:
        parts.push_async_callback(tasks.stop)
        await link.start()
        parts.push_async_callback(link.stop)
        await server.start()
        parts.push_async_callback(server.stop)
        tasks.start(_publish(counts), "counts")
        yield


async def _publish(counts: SharedCounts) -> NoReturn:
    while True:
        await asyncio.sleep(PUBLISH_SECONDS)
        counts.publish()
