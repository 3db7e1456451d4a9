"""What a process gets from its parent costs no prediction: a log that nobody reads, closed streams, few descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from support.model_app import SURE, ModelApp, model_app
from support.product import READY_SECONDS
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _: SURE) as app:
        yield app


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes not one byte more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


@contextlib.contextmanager
def broken_pipe() -> Iterator[int]:
    """The writing end of a pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextlib.asynccontextmanager
async def running(
    home: Path, upstream: str, stream: int | None = None, redirection: str = "", before: str = ""
) -> AsyncIterator[tuple[str, int]]:
    """`sidecar run` writing to `stream`, or as the shell redirects it: the predict call's URL and the process id."""
    port = unused_port()
    command = (
        f"{before} exec {sys.executable} -m sidecar run --upstream={upstream} --listen=127.0.0.1:{port}"
        f" --admin=127.0.0.1:0 --policies={home} --data={home / 'data'} --drain-delay=0s {redirection}"
    )
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, stdout=stream, stderr=stream, start_new_session=True
    )
    try:
        yield f"http://127.0.0.1:{port}/v1/models/digits:predict", process.pid
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def ended(process: asyncio.subprocess.Process) -> int:
    """The exit code. An engine that waits for its log to be read would be waited for, so it is not left to live."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(process.wait(), 2)
            kill_engines(process.pid)


async def predict(session: aiohttp.ClientSession, url: str) -> int:
    async with session.post(url, json={"instances": [[1]]}) as response:
        return response.status


async def until_it_listens(session: aiohttp.ClientSession, url: str) -> None:
    tries = AsyncRetrying(
        retry=retry_if_exception_type(aiohttp.ClientConnectorError),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(READY_SECONDS),
    )
    assert await tries(predict, session, url) == 200


def kill_engines(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)


async def survives_its_engines(url: str, pid: int) -> None:
    """Predictions while engines die, of which the relay has something to say each time."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session:
        await until_it_listens(session, url)
        for _ in range(5):
            kill_engines(pid)
            for _ in range(50):
                assert await predict(session, url) == 200


async def test_a_log_that_is_not_read_holds_no_prediction(tmp_path: Path, model: ModelApp) -> None:
    with full_pipe() as pipe:
        async with running(tmp_path, model.url, pipe) as (url, pid):
            await survives_its_engines(url, pid)


async def test_a_log_whose_reader_is_gone_fails_no_prediction(tmp_path: Path, model: ModelApp) -> None:
    with broken_pipe() as pipe:
        async with running(tmp_path, model.url, pipe) as (url, pid):
            await survives_its_engines(url, pid)


async def test_closed_standard_streams_fail_no_prediction(tmp_path: Path, model: ModelApp) -> None:
    async with running(tmp_path, model.url, redirection="<&- >&- 2>&-") as (url, pid):
        await survives_its_engines(url, pid)


REQUEST = b'POST /v1/models/digits:predict HTTP/1.1\r\nHost: m\r\nContent-Length: 19\r\n\r\n{"instances":[[1]]}'


async def predict_and_stay(url: str) -> asyncio.StreamWriter:
    """A prediction by a client that does not leave."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].partition("/")[0]))
    writer.write(REQUEST)
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 OK")
    return writer


async def test_at_the_descriptor_limit_clients_wait_and_are_served(tmp_path: Path, model: ModelApp) -> None:
    clients = 120
    async with running(tmp_path, model.url, before="ulimit -n 160;") as (url, _):
        async with aiohttp.ClientSession() as session:
            await until_it_listens(session, url)
        coming = {asyncio.create_task(predict_and_stay(url)) for _ in range(clients)}
        served = 0
        while coming:
            done, coming = await asyncio.wait(coming, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            assert done, f"{served} of {clients} were served, then nobody"
            for task in done:
                served += 1
                (await task).close()
        assert served == clients
