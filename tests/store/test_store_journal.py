"""What happened by itself is among the events, once in a while, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from support.clock import FakeClock

from sidecar.errors import CapacityError, ConfigurationError, Problem
from sidecar.events import Events
from sidecar.store.audit import Wanted, list_changes
from sidecar.store.database import Database, sqlite_url
from sidecar.store.journal import MOST_WAITING, QUIET_SECONDS, Journal


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path)) as opened:
        yield opened


@pytest.fixture
def events() -> Events:
    return Events(structlog.get_logger())


async def written(database: Database) -> list[tuple[str, str, str, Any]]:
    """(who, kind, subject, after), oldest first."""
    rows = await database.read(lambda connection: list_changes(connection, Wanted(), 1000))
    return [(row.who, row.kind, row.subject, orjson.loads(row.after)) for row in reversed(rows)]


async def test_what_events_say_is_kept(database: Database, events: Events) -> None:
    journal = Journal(database, events, FakeClock())
    events.note = journal.note
    events.engine_ready("127.0.0.1:9901", 2, 1)
    events.policy_broken(ConfigurationError(Problem("is wrong", file="a.yaml", line=3)))
    events.policies_mended(("a.yaml",))
    events.breaker_opened("captions", "unreachable", 5.0)
    events.breaker_closed("captions")
    events.jobs_settled("kept", "dead", "key_invalid", 2)
    events.jobs_settled("kept", "dropped", "discarded", 2)
    events.jobs_settled("kept", "delivered", "", 2)
    events.jobs_retried("kept", "unreachable", 3, 1.0)
    events.token_refused("10.0.0.1", is_last=False)
    events.token_refused("10.0.0.2", is_last=True)
    await journal.close()
    told = await written(database)
    assert {who for who, *_ in told} == {"sidecar"}
    assert [(kind, subject) for _, kind, subject, _ in told] == [
        ("engine.started", "127.0.0.1:9901"),
        ("policy.broken", "a.yaml"),
        ("policy.mended", "a.yaml"),
        ("model.away", "captions"),
        ("model.back", "captions"),
        ("jobs.dead", "kept"),
        ("jobs.waiting", "kept"),
        ("tokens.guessed", "10.0.0.2"),
    ]
    assert told[0][3] == {"collectors": 2, "workflows": 1}
    assert told[-2][3] == {"reason": "unreachable", "jobs": 3}


async def test_the_same_is_said_once_in_a_while(database: Database, events: Events) -> None:
    clock = FakeClock()
    journal = Journal(database, events, clock)
    for _ in range(3):
        journal.note("jobs.waiting", "kept", "kept", reason="unreachable", jobs=1)
    journal.note("jobs.waiting", "kept", "kept", reason="throttled", jobs=1)
    clock.advance(QUIET_SECONDS)
    journal.note("jobs.waiting", "kept", "kept", reason="unreachable", jobs=9)
    await journal.close()
    assert [after for *_, after in await written(database)] == [
        {"reason": "unreachable", "jobs": 1},
        {"reason": "throttled", "jobs": 1},
        {"reason": "unreachable", "jobs": 9},
    ]


async def test_a_database_that_fails_costs_the_note_alone(
    database: Database, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(database, events, FakeClock())

    async def fail(_work: object) -> None:
        raise CapacityError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(database, "write", fail)
        journal.note("engine.started", "here")
        await journal.close()
    journal.note("engine.started", "there")
    await journal.close()
    assert [subject for _, _, subject, _ in await written(database)] == ["there"]
    assert events.counters.get("sidecar_store_failures_total", doing="journal") == 1


async def test_little_waits_while_the_database_is_slow(
    database: Database, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, may_write, write = Journal(database, events, FakeClock()), asyncio.Event(), database.write

    async def slow(work: Any) -> None:
        await may_write.wait()
        await write(work)

    monkeypatch.setattr(database, "write", slow)
    journal.note("policy.mended", "first")
    await asyncio.sleep(0)
    for number in range(MOST_WAITING + 5):
        journal.note("policy.mended", f"{number}.yaml")
    may_write.set()
    await journal.close()
    told = [subject for _, _, subject, _ in await written(database)]
    assert (len(told), told[0], told[1]) == (MOST_WAITING + 1, "first", "5.yaml")
