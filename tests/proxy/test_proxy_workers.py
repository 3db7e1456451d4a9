"""The further relays, as the first one keeps them: stood in for, replaced, counted, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.relay_end import RelayEnd, always, answer, predict, relay_running

from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.addresses import Address
from sidecar.kit.tasks import Tasks
from sidecar.proxy.binding import bind_places
from sidecar.proxy.counts import Counts
from sidecar.proxy.engine_socket import NO_HANDLE
from sidecar.proxy.workers import Inheritance, Surroundings, Workers

RELAY = """
import os, signal, socket, sys
from sidecar.proxy.shared_counts import SharedCounts, opened
listening, counts, folder = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
def say(text):
    with open(os.path.join(folder, "said"), "a") as file:
        file.write(text)
def stop(number, _):
    say(signal.Signals(number).name)
    sys.exit()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN if os.path.exists(os.path.join(folder, "deaf")) else stop)
with opened(counts) as cells:
    shared = SharedCounts(cells)
    shared.seen += 5
    shared.taken += 3
    shared.publish()
    if not os.path.exists(os.path.join(folder, "unready")):
        listening.listen()
        print("ready", "now", flush=True)
    while True:
        signal.pause()
"""
"""Counts five exchanges, three of them to the end; accepts nobody."""


@dataclass
class Crew:
    """One further relay beside `first`."""

    workers: Workers
    first: RelayEnd
    ready: asyncio.Queue[None]
    address: Address
    folder: Path

    @property
    def log(self) -> str:
        return self.first.log.getvalue()

    @property
    def pid(self) -> int:
        """Of the newest."""
        return int(re.findall(r'"pid": (\d+)', self.log)[-1])

    async def is_ready(self) -> None:
        await asyncio.wait_for(self.ready.get(), 10)

    async def until(self, relays: int, deaths: int) -> dict[str, int]:
        async with asyncio.timeout(10):
            while True:
                counts = self.workers.counts_with(Counts())
                if (counts["relays"], counts["worker_deaths_total"]) == (relays, deaths):
                    return counts
                await asyncio.sleep(0)


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    ready: asyncio.Queue[None] = asyncio.Queue()

    def command(inherited: Inheritance) -> list[str]:
        assert inherited.number == 2
        numbers = [str(*inherited.listening), str(inherited.counts)]
        return [sys.executable, "-c", RELAY, *numbers, str(tmp_path)]

    with contextlib.closing(bind_places(Address("127.0.0.1", 0), 2)) as places:
        async with relay_running(always(answer())) as first:
            events = Events(logs.configure("debug", first.log))
            tasks = Tasks(events.task_failed)
            surroundings = Surroundings(command, os.environ, NO_HANDLE, events)
            workers = Workers(places, surroundings, first.server, lambda: ready.put_nowait(None))
            places.sockets[0][0].close()  # so that whoever comes, comes to the second
            workers.start(tasks)
            yield Crew(workers, first, ready, places.address, tmp_path)
            workers.kill()
            await workers.stop(10)
            await tasks.stop()
            workers.close()


async def served_by_the_first(crew: Crew) -> None:
    end = crew.first
    reader, writer = await asyncio.open_connection("127.0.0.1", crew.address.port)
    writer.write(predict())
    assert await asyncio.wait_for(reader.readexactly(len(answer())), 10) == answer()
    writer.close()
    end.check_counts()


async def test_the_first_relay_serves_who_comes_to_one_that_is_gone(crew: Crew) -> None:
    await crew.is_ready()
    waiting, writer = await asyncio.open_connection("127.0.0.1", crew.address.port)
    writer.write(predict())
    (crew.folder / "unready").touch()
    os.kill(crew.pid, signal.SIGKILL)
    assert await asyncio.wait_for(waiting.readexactly(len(answer())), 10) == answer()
    writer.close()
    await crew.until(relays=2, deaths=1)
    await served_by_the_first(crew)
    (crew.folder / "unready").unlink()
    os.kill(crew.pid, signal.SIGKILL)
    await crew.is_ready()
    listener = crew.first.server._listener
    async with asyncio.timeout(10):
        while listener is not None and len(listener._sites) > 1:  # noqa: ASYNC110 - as soon as it was told
            await asyncio.sleep(0)


async def test_a_relay_that_does_not_go_on_is_replaced_and_counted(crew: Crew) -> None:
    await crew.is_ready()
    hung = crew.pid
    crew.workers.look()
    assert crew.pid == hung
    crew.workers.look()
    await crew.is_ready()
    counts = await crew.until(relays=2, deaths=1)
    assert crew.pid != hung
    assert "relay worker hangs" in crew.log
    assert counts["seen"] == 10
    crew.workers.look()
    assert crew.log.count("relay worker hangs") == 1  # its successor has only begun


async def test_what_a_relay_that_died_had_counted_stays(crew: Crew) -> None:
    for deaths in range(3):
        await crew.is_ready()
        counts = await crew.until(relays=2, deaths=deaths)
        found = [counts[name] for name in ("seen", "taken", "open")]
        assert found == [5 * deaths + 5, 3 * deaths + 3, 2]
        assert counts.get("lost.relay_died", 0) == 2 * deaths
        os.kill(crew.pid, signal.SIGKILL)
    assert crew.log.count('"exchanges_lost": 2') >= 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_are_asked_to_stop_as_the_first_one_is_and_then_clients_are_refused(
    crew: Crew, number: signal.Signals
) -> None:
    await crew.is_ready()
    crew.workers.ask_to_stop(number)
    await crew.workers.stop(10)
    assert (crew.folder / "said").read_text() == number.name
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", crew.address.port)
    assert "killed" not in crew.log
    assert (await crew.until(relays=1, deaths=0))["lost.relay_died"] == 2


async def test_one_that_does_not_end_is_killed(crew: Crew) -> None:
    (crew.folder / "deaf").touch()
    await crew.is_ready()
    os.kill(crew.pid, signal.SIGKILL)
    await crew.is_ready()
    crew.workers.ask_to_stop(signal.SIGTERM)
    await asyncio.wait_for(crew.workers.stop(0.2), 10)
    assert "relay worker did not stop, it was killed" in crew.log
    await crew.until(relays=1, deaths=1)
