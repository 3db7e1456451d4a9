"""The pipeline's real parts on a real database, with the clock in the test's hand."""

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
def events() -> Events:
    return Events(structlog.get_logger())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path)) as opened:
        yield opened


@pytest.fixture
def jobs(database: Database, clock: FakeClock, events: Events) -> JobQueue:
    return JobQueue(database, clock, events, owner="this")
