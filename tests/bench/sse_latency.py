"""What the relay adds to each event of a stream: `PYTHONPATH=tests python tests/bench/sse_latency.py`.

An event's time is from the model's write to the client's read, both in this process; the next event is made only when
the last one was heard. The relay is the real product's, with a collector that wants the stream.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from support.product import Product
from support.relay_end import Model, predict, read_request

EVENT = b"data: a token or two\n\n"


class SseLatency(NamedTuple):
    """Medians over the rounds, in microseconds per event."""

    direct_us: float
    relayed_us: float


class _Stream:
    """A model that makes one event for each that was heard."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.heard: asyncio.Queue[None] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(self.events):
            await self.heard.get()
            writer.write(EVENT)

    async def seconds_per_event(self, address: str) -> float:
        """The median of one stream over `address`."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(predict())
        await reader.readuntil(b"\r\n\r\n")
        seconds = [await self._one(reader) for _ in range(self.events)]
        writer.close()
        return statistics.median(seconds)

    async def _one(self, reader: asyncio.StreamReader) -> float:
        began = time.perf_counter()
        self.heard.put_nowait(None)
        await reader.readexactly(len(EVENT))
        return time.perf_counter() - began


async def measure_sse_latency(rounds: int = 15, events: int = 400) -> SseLatency:
    """Interleaved rounds of one stream each, direct and relayed; of each the median event, and of those the median."""
    stream = _Stream(events)
    model = Model(stream.serve)
    address = str(await model.start())
    direct: list[float] = []
    relayed: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        product = Product(Path(home), f"http://{address}")
        product.policy("kept", "collector: {id: kept, source: {model: digits}, pre_queue_random_sample: 1.0}")
        async with product:
            for _ in range(rounds):
                direct.append(await stream.seconds_per_event(address))
                relayed.append(await stream.seconds_per_event(product.url.removeprefix("http://")))
    await model.stop()
    return SseLatency(statistics.median(direct) * 1e6, statistics.median(relayed) * 1e6)


if __name__ == "__main__":
    found = asyncio.run(measure_sse_latency())
    print(f"direct {found.direct_us:.0f} µs · relayed {found.relayed_us:.0f} µs an event")
