"""What the engine knows of the relays' counts: the sum of what each says for itself, or one of them for all."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from sidecar import frame
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Receiver
from sidecar.events import Events
from sidecar.frame import Index, Kind
from sidecar.kit import logs


async def _no_metrics() -> bytes:
    return b""


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    receiver = Receiver(KeyedQueue(1000), lambda _: None, _no_metrics, Events(logs.configure("debug", io.StringIO())))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "engine.sock"))
        listening.listen()
        listening.setblocking(False)
        await receiver.start(listening, Index())
        yield receiver
        await receiver.stop()
        await receiver.drained()


@contextlib.asynccontextmanager
async def relay(place: Path, says: Mapping[str, int]) -> AsyncIterator[None]:
    """A relay that says the same counts whenever it is asked."""
    reader, writer = await asyncio.open_unix_connection(place)
    frames = frame.FrameReader()
    connected = asyncio.Event()

    async def answer() -> None:
        while data := await reader.read(4096):
            for kind, payload in frames.feed(data):
                connected.set()
                if kind == Kind.ASK_COUNTS:
                    counts = frame.encode_counts({"sequence": int(payload), **says})
                    writer.write(frame.encode_text(Kind.COUNTS, counts))

    answering = asyncio.create_task(answer())
    await asyncio.wait_for(connected.wait(), 10)
    yield
    writer.close()
    await asyncio.wait_for(answering, 10)


async def test_each_relay_says_its_own(receiver: Receiver, tmp_path: Path) -> None:
    place = tmp_path / "engine.sock"
    async with relay(place, {"seen": 2, "taken": 2}), relay(place, {"seen": 3, "lost.too_large": 3}):
        assert await receiver.counts() == {"relays": 2, "seen": 5, "taken": 2, "lost.too_large": 3}


async def test_one_relay_says_those_of_all(receiver: Receiver, tmp_path: Path) -> None:
    place = tmp_path / "engine.sock"
    async with relay(place, {"relays": 0}):
        assert await receiver.counts() == {"relays": 0}, "nothing is known before the first relay is there"
        async with relay(place, {"seen": 5, "relays": 3}), relay(place, {"relays": 0}):
            assert await receiver.counts() == {"relays": 3, "seen": 5}
