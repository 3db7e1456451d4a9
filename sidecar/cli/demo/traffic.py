"""The demo's traffic: several callers with connections they keep, and the latency that one of them sees.

Owns the requests. Latency is measured apart from the crowd: the same request direct and through the sidecar, one at a
time, the order turning, so that what differs is the sidecar and not the moment. A call that is not answered with 200
ends the demo.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import aiohttp

from sidecar.cli.demo.children import DemoError, first_error

CALLER_HEADER = "X-Caller-Id"
CONNECTIONS_PER_CALLER = 2
TIMEOUT_SECONDS = 10.0
WARM_UP_PAIRS = 10
"""Pairs that are sent before any is measured: they open the connections."""


class Latencies(NamedTuple):
    """Seconds of each measured call, in the order they were sent."""

    direct: tuple[float, ...]
    through: tuple[float, ...]


def body_of(image: bytes) -> bytes:
    """A predict call's body for one image."""
    return json.dumps({"instances": [{"b64": base64.b64encode(image).decode()}]}).encode()


def _session(caller: str, connections: int) -> aiohttp.ClientSession:
    """A caller's connections; the blank caller names nobody."""
    headers = {"Content-Type": "application/json"} | ({CALLER_HEADER: caller} if caller else {})
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
    )


async def _call(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    """Send one predict call, read the whole answer, and give the seconds it took. Raises DemoError."""
    start = time.perf_counter()
    try:
        async with session.post(url, data=body) as response:
            answer = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"a predict call to {url} failed: {str(error) or type(error).__name__}") from error
    if response.status != 200:
        raise DemoError(f"a predict call to {url} was answered {response.status}: {answer[:200]!r}")
    return time.perf_counter() - start


async def send(url: str, bodies: Mapping[str, Sequence[bytes]], on_answer: Callable[[], None]) -> None:
    """Send each caller's bodies to `url`, all callers at once, and call `on_answer` after each answer.

    Raises DemoError when a call fails.
    """
    try:
        async with asyncio.TaskGroup() as callers:
            for caller, theirs in bodies.items():
                callers.create_task(_send_as(caller, url, theirs, on_answer))
    except* DemoError as group:
        raise first_error(group) from None


async def _send_as(caller: str, url: str, bodies: Sequence[bytes], on_answer: Callable[[], None]) -> None:
    waiting = iter(bodies)
    async with _session(caller, CONNECTIONS_PER_CALLER) as session, asyncio.TaskGroup() as connections:
        for _ in range(CONNECTIONS_PER_CALLER):
            connections.create_task(_send_each(session, url, waiting, on_answer))


async def _send_each(
    session: aiohttp.ClientSession, url: str, waiting: Iterator[bytes], on_answer: Callable[[], None]
) -> None:
    for body in waiting:
        await _call(session, url, body)
        on_answer()


async def measure(
    direct: str, through: str, caller: str, bodies: Sequence[bytes], on_answer: Callable[[], None]
) -> Latencies:
    """Send each body to both URLs as `caller`, one call at a time. Raises DemoError when a call fails."""
    samples: dict[str, list[float]] = {direct: [], through: []}
    async with _session(caller, 2) as session:
        for index, body in enumerate(bodies):
            for url in (direct, through) if index % 2 else (through, direct):
                samples[url].append(await _call(session, url, body))
            on_answer()
    return Latencies(tuple(samples[direct][WARM_UP_PAIRS:]), tuple(samples[through][WARM_UP_PAIRS:]))
