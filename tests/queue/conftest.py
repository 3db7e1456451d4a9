"""A queue on a real SQLite file, with a clock turned by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from support.clock import FakeClock

from sidecar.events import Events
from sidecar.queue.jobs import JobQueue
from sidecar.store.database import Database, sqlite_url


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> Events:
    return Events(structlog.wrap_logger(structlog.testing.CapturingLogger()))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path)) as database:
        yield database


@pytest.fixture
def queue(database: Database, clock: FakeClock, events: Events) -> JobQueue:
    return JobQueue(database, clock, events, "this-start")
