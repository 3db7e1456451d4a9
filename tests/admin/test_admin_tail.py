"""The live tail over a real socket: whole events, a sign of life, an end at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import orjson
import pytest
from support.admin import Admin, open_admin
from support.exchanges import payload_of, predict

from sidecar.admin import tail as admin_tail
from sidecar.capture.arrival import Arrival, ArrivalReader
from sidecar.capture.caller import Callers
from sidecar.pipeline.plan import Plan
from sidecar.pipeline.tail import MOST_LISTENERS, MOST_WAITING
from sidecar.workflow.run import Filtered

LISTENING = b": listening\n\n"


def arrival(caller: str) -> Arrival:
    sent = predict("/v1/models/digits:predict", {"instances": [1]}, headers={"X-Caller-Id": caller})
    read = ArrivalReader(Callers("x-caller-id", {}), ()).read(payload_of(sent))
    if read is None:
        raise ValueError("not a predict call")
    return read


async def next_event(response: aiohttp.ClientResponse) -> bytes:
    return await response.content.readuntil(b"\n\n")


async def test_events_are_streamed_to_whom_they_concern(admin: Admin) -> None:
    async with admin.session.get(f"{admin.url}/v1/tail?caller=alice") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await next_event(response) == LISTENING
        for caller in ("bob", "alice"):
            admin.tail.tell(Plan(), arrival(caller), "", [("kept", Filtered("n"))])
        name, data = (await next_event(response)).decode().rstrip().split("\n")
        assert name == "event: exchange"
        event = orjson.loads(data.removeprefix("data: "))
        assert event["caller"] == "alice"
        assert event["verdicts"] == [
            {"collector": "kept", "verdict": "filtered", "reason": "pre_queue", "inputs": 1}
        ]  # fmt: skip


async def test_a_sign_of_life_while_nothing_passes(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_tail, "HEARTBEAT_SECONDS", 0.01)
    async with admin.session.get(f"{admin.url}/v1/tail") as response:
        await next_event(response)
        assert await next_event(response) == await next_event(response) == b": nothing passes\n\n"


async def test_too_many_are_refused_and_whoever_leaves_makes_room(admin: Admin) -> None:
    responses = [await admin.session.get(f"{admin.url}/v1/tail") for _ in range(MOST_LISTENERS)]
    status, answer = await admin.ask("GET", "/v1/tail")
    assert (status, answer["status"]["code"]) == (503, 10020)
    for response in responses:
        response.close()
    while admin.tail.is_heard:
        admin.tail.tell(Plan(), arrival("alice"), "", ())
        await asyncio.sleep(0)
    async with admin.session.get(f"{admin.url}/v1/tail") as response:
        assert response.status == 200
    assert "admin request failed" not in admin.shop.log.getvalue()


async def test_a_stream_ends_after_as_many_exchanges_as_were_asked_for(admin: Admin) -> None:
    async with admin.session.get(f"{admin.url}/v1/tail?limit=3.0") as response:
        await next_event(response)
        for caller in ("ann", "bob", "cid", "dan"):
            admin.tail.tell(Plan(), arrival(caller), "", ())
        whole = (await response.content.read()).decode()
    shown = [orjson.loads(line.removeprefix("data: ")) for line in whole.splitlines() if line.startswith("data: ")]
    assert [each.get("caller") for each in shown] == ["ann", "bob", "cid", None]
    assert whole.endswith('event: end\ndata: {"reason":"limit"}\n\n')
    assert not admin.tail.is_heard


async def test_a_stream_ends_after_as_long_as_was_asked_for(admin: Admin) -> None:
    async with admin.session.get(f"{admin.url}/v1/tail?seconds=0.05") as response:
        assert await response.content.read() == LISTENING + b'event: end\ndata: {"reason":"seconds"}\n\n'


async def test_head_does_not_listen(admin: Admin) -> None:
    async with admin.session.head(f"{admin.url}/v1/tail") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
    assert not admin.tail.is_heard


async def test_a_stop_ends_streams_at_once_also_one_that_is_not_read(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with open_admin(tmp_path) as admin:
            reading = await session.get(f"{admin.url}/v1/tail?caller=nobody")
            await next_event(reading)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(admin.url.rpartition(":")[2]), limit=1)
            writer.write(b"GET /v1/tail?model=digits HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.read(1)
            large = arrival("x" * 8000)
            for _ in range(3 * MOST_WAITING):
                admin.tail.tell(Plan(), large, "", ())
                await asyncio.sleep(0)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 5.0
        assert await reading.content.read() == b""
        writer.close()
