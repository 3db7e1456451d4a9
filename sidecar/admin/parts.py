"""What the admin API is built from: handed in whole, so that it knows no relay and no order of steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sidecar.backtest.recorder import Recorder
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.pipeline.tail import Tail
from sidecar.policy.catalog import Catalog
from sidecar.policy.relations import Relations
from sidecar.queue.jobs import JobQueue
from sidecar.settings import Settings
from sidecar.store.database import Database
from sidecar.workflow.operators.registry import BUILT_IN, Operators

Calls = tuple[str, str, str]
"""Whose calls of which model: (caller, model, version)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts, and the questions that others answer."""

    settings: Settings
    catalog: Catalog
    relations: Relations
    database: Database
    events: Events
    clock: Clock
    ledger: Callable[[], Awaitable[Mapping[str, Any]]]
    """The whole of `/v1/ledger`."""
    readiness: Callable[[], Awaitable[Mapping[str, str]]]
    """Part → what is wrong with it, blank when nothing is."""
    metrics: Callable[[], Awaitable[bytes]]
    jobs: JobQueue
    traffic: Callable[[Sequence[str], Callable[[Calls], Calls]], Mapping[str, Any]]
    """The whole of `/v1/traffic`, with these collectors; what its sources are shown as is handed in."""
    tail: Tail = field(default_factory=Tail)
    recorder: Recorder = field(default_factory=Recorder)
    operators: Operators = BUILT_IN
    """What the nodes of a back-test can be; their memories are not touched."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Setting → where its value came from, see `settings.origins`."""
    pages: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    """Path → (media type, content) of the static page."""


PARTS: web.AppKey[Parts] = web.AppKey("parts", Parts)
