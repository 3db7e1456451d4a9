"""Back-pressure in the real product: a slow side slows the other one down, and the relay's memory stays flat.

The slow side reads only when the other one cannot write: every buffer between the two is full all the time.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.product import Product, assert_sums_hold
from support.relay_end import PREDICT, answer, predict

GIGABYTE = 1 << 30
KNOWN = b"Content-Length: %d\r\n\r\n" % GIGABYTE
BLOCK = bytes(256 << 10)
STEP_BYTES = 1 << 20
MOST_GROWTH_BYTES = 16 << 20
"""Both sides' buffers (64 KiB each before the other side is slowed down, and one read on top), and a copy that is let
go at `--max-body` (8 MiB by default)."""


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"process {pid} has no memory")


def pour(source: socket.socket, sink: socket.socket, total: int, pid: int) -> int:
    """Send `total` bytes; `sink` reads only when `source` is blocked. Gives the most memory that `pid` ever had."""
    source.setblocking(False)
    sink.setblocking(True)
    sent = got = most = 0
    taken = bytearray(STEP_BYTES)
    while got < total:
        if sent < total:
            with contextlib.suppress(BlockingIOError):
                sent += source.send(BLOCK[: total - sent])
                continue
        count = sink.recv_into(taken)
        if not count:
            raise EOFError(f"the end after {got} of {total} bytes")
        got += count
        most = max(most, resident_bytes(pid))
    return most


def says(speaker: socket.socket, hearer: socket.socket, said: bytes) -> None:
    speaker.sendall(said)
    assert hearer.recv(len(said), socket.MSG_WAITALL) == said


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
async def product(tmp_path: Path, listening: socket.socket) -> AsyncIterator[Product]:
    product = Product(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}")
    product.policy("kept", "collector: {id: kept, source: {model: digits}, pre_queue_random_sample: 1.0}")
    async with product:
        yield product


@contextlib.contextmanager
def both_ends(product: Product, listening: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Client and model, after one exchange between them."""
    host, _, port = product.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        model, _ = listening.accept()
        with model:
            says(client, model, predict())
            says(model, client, answer())
            yield client, model


async def check_ledger(product: Product) -> None:
    """Each exchange was captured, but for the two that were too large."""
    ledger = await product.settled()
    assert_sums_hold(ledger)
    assert (ledger["exchanges"]["seen"], ledger["exchanges"]["taken"]) == (4, 2), ledger["exchanges"]
    assert ledger["exchanges"]["lost"]["too_large"] == 2


async def test_a_gigabyte_to_a_slow_model_leaves_the_memory_flat(product: Product, listening: socket.socket) -> None:
    pid = product.process.pid
    for framing in (KNOWN, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % GIGABYTE):
        with both_ends(product, listening) as (client, model):
            before = resident_bytes(pid)
            says(client, model, PREDICT + framing)
            assert pour(client, model, GIGABYTE, pid) - before < MOST_GROWTH_BYTES
    await check_ledger(product)


async def test_a_gigabyte_to_a_slow_client_leaves_the_memory_flat(product: Product, listening: socket.socket) -> None:
    pid = product.process.pid
    for framing in (KNOWN, b"Server: m\r\n\r\n"):
        with both_ends(product, listening) as (client, model):
            before = resident_bytes(pid)
            says(client, model, predict())
            says(model, client, b"HTTP/1.1 200 OK\r\n" + framing)
            assert pour(model, client, GIGABYTE, pid) - before < MOST_GROWTH_BYTES
    await check_ledger(product)
