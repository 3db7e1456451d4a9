"""The engine: capture, policies, workflows, database, admin and deliveries in one process, the relay's child.

Reads like the drawing: each part is opened on top of the one below it and closed in the reverse order. Promises to end
at once when its relay is gone, to be the first that the system kills when memory runs out, and to be alone on its data
folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sidecar import ui
from sidecar.admin.app import build_app
from sidecar.admin.metrics import render
from sidecar.admin.parts import Parts
from sidecar.app.loop import run_loop
from sidecar.capture.arrival import Arrival, read_arrival
from sidecar.capture.caller import Callers, read_keys
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured, Receiver
from sidecar.delivery.registry import Destinations, check_destination
from sidecar.events import Events
from sidecar.exchange import Exchange
from sidecar.kit import logs
from sidecar.kit.clock import SystemClock
from sidecar.kit.files import locked
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.dispatch import Dispatch
from sidecar.pipeline.intake import Intake
from sidecar.pipeline.models import ModelServers
from sidecar.pipeline.plan import Plan, make_plan
from sidecar.policy.catalog import Catalog
from sidecar.protocol.registry import decode
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import read_ledger
from sidecar.settings import Address, Settings
from sidecar.store.database import Database, sqlite_url
from sidecar.store.secrets import Secrets, load_key
from sidecar.workflow.graph import compile_workflow

LOCK = "engine.lock"
LAST_RECEIPTS_SECONDS = 5.0
LAST_DELIVERIES_SECONDS = 5.0


def run_engine(settings: Settings, link_fd: int) -> int:
    """Run until SIGTERM; `link_fd` is the listening socket that the relay holds and hands on."""
    log = logs.configure(settings.log_level, process="engine")
    _end_with_the_relay()
    _be_killed_first()
    settings.data.mkdir(parents=True, exist_ok=True)
    with locked(settings.data / LOCK):
        return run_loop(_serve(settings, Events(log), socket.socket(fileno=link_fd)))


def _end_with_the_relay() -> None:
    """The relay holds the other end of our standard input: when it is gone, whatever it died of, so are we.

    A thread, as the loop may be busy with an operator that does not end.
    """

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-the-relay", daemon=True).start()


def _be_killed_first() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


async def _serve(settings: Settings, events: Events, listening: socket.socket) -> int:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Engine(settings, events).running(listening) as engine:
        sys.stdout.write(f"ready admin={engine.admin}\n")
        sys.stdout.flush()
        await stopping.wait()
        await engine.drain()
    return 0


class Engine:
    """All parts of the engine, joined."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._clock = SystemClock()
        self._plan = Plan()
        self._tasks = Tasks(events.task_failed)
        self.admin = ""
        database = self._database = Database(sqlite_url(settings.data))
        self._secrets = Secrets(database, load_key(settings.data))
        self._jobs = JobQueue(database, self._clock, events, owner=os.urandom(8).hex())
        self._catalog = Catalog(
            database,
            events,
            self._clock,
            check_workflow=lambda workflow: _checked(workflow, settings),
            check_destination=check_destination,
            store_secret=self._secrets.add,
            is_secret=self._secrets.is_known,
        )
        self._queue: KeyedQueue[Captured] = KeyedQueue(settings.queue_memory)
        callers = Callers(settings.caller_header, read_keys(settings.keys) if settings.keys else {})

        def read(exchange: Exchange) -> Arrival | None:
            return read_arrival(exchange, callers, settings.metadata_headers)

        self._receiver = Receiver(self._queue, read, self.metrics, events)
        self._intake: Intake
        self._dispatch: Dispatch
