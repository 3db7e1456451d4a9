"""Exchanges from a relay over a real socket: each is queued or has its receipt, and a broken stream ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog
from support.exchanges import payload_of, predict

from sidecar import frame
from sidecar.capture.arrival import Arrival, ArrivalReader
from sidecar.capture.caller import Callers
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured, Receiver
from sidecar.events import Events
from sidecar.frame import Index, Kind
from sidecar.passing import ModelName, encode_models

READER = ArrivalReader(Callers("x-caller-id", {}), ())
PREDICT = payload_of(predict("/v1/models/m:predict", {"instances": [[1.0]]}, {"predictions": [[0.5]]}))
OTHER = payload_of(predict("/healthz", {}, {}))
POISONED = payload_of(predict("/v1/models/poison:predict", {}, {}))


def read(payload: bytes) -> Arrival | None:
    if payload == POISONED:
        raise ZeroDivisionError
    return READER.read(payload)


def framed(payload: bytes) -> bytes:
    return frame.prefix(Kind.EXCHANGE, len(payload)) + payload


async def no_metrics() -> bytes:
    return b""


class Room(NamedTuple):
    receiver: Receiver
    queue: KeyedQueue[Captured]
    events: Events
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    frames: frame.FrameReader

    async def receipts(self, count: int) -> dict[str, int]:
        """The receipts for `count` exchanges, when they have come."""
        told: dict[str, int] = {}
        while sum(told.values()) < count:
            for kind, payload in self.frames.feed(await asyncio.wait_for(self.reader.read(65536), 10)):
                if kind == Kind.ACK:
                    for what, each in frame.decode_counts(payload.decode()).items():
                        told[what] = told.get(what, 0) + each
        return told


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    queue: KeyedQueue[Captured] = KeyedQueue(100_000)
    events = Events(structlog.get_logger())
    receiver = Receiver(queue, read, no_metrics, events)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "engine.sock"))
        listening.listen()
        listening.setblocking(False)
        await receiver.start(listening, Index())
        reader, writer = await asyncio.open_unix_connection(tmp_path / "engine.sock")
        yield Room(receiver, queue, events, reader, writer, frame.FrameReader())
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await receiver.drained()
        await receiver.stop()


async def test_what_is_no_predict_call_or_trips_a_bug_has_its_receipt_at_once(room: Room) -> None:
    room.writer.write(framed(OTHER) + framed(PREDICT) + framed(POISONED) + framed(OTHER))
    assert await room.receipts(3) == {"unwanted": 2, "lost.capture_failed": 1}
    (captured,) = await room.queue.get_batch(9)
    assert (captured.arrival.asked.key, captured.arrival.request) == (("anonymous", "m", ""), b'{"instances":[[1.0]]}')


async def test_receipts_are_summed_up(room: Room) -> None:
    room.writer.write(framed(PREDICT) * 5)
    batch: list[Captured] = []
    while len(batch) < 5:
        batch += await room.queue.get_batch(5)
    batch[0].connection.acknowledge("taken", 4)
    batch[4].lost("queue_full")
    assert await room.receipts(5) == {"taken": 4, "lost.queue_full": 1}


@pytest.mark.parametrize("payload", [PREDICT + b"x", PREDICT[:-1], PREDICT[:20]], ids=["long", "short", "no head"])
async def test_a_frame_whose_lengths_do_not_add_up_ends_the_connection(room: Room, payload: bytes) -> None:
    room.writer.write(framed(payload) + framed(PREDICT))
    assert await asyncio.wait_for(room.reader.read(), 10) == frame.encode_text(Kind.INDEX, "")
    assert room.events.counters.get("sidecar_capture_failures_total", where="receiver") == 1
    assert len(room.queue) == 0


async def test_what_passes_is_known_of_each_relay_as_long_as_it_is_connected(room: Room) -> None:
    names = [ModelName("b", "1"), ModelName("a"), ModelName("a", "\t\n")]
    room.writer.write(frame.encode_text(Kind.PASSING, encode_models(names)) * 2 + framed(OTHER))
    await room.receipts(1)
    assert room.receiver.passing == [ModelName("a"), ModelName("b", "1")]
    room.writer.close()
    await asyncio.wait_for(room.receiver.drained(), 10)
    assert room.receiver.passing == []


async def test_names_that_are_none_end_the_connection(room: Room) -> None:
    room.writer.write(frame.encode_text(Kind.PASSING, "digits") + framed(PREDICT))
    assert await asyncio.wait_for(room.reader.read(), 10) == frame.encode_text(Kind.INDEX, "")
    assert room.events.counters.get("sidecar_capture_failures_total", where="receiver") == 1
    assert len(room.queue) == 0
