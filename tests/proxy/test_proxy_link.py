"""The link: an engine that is slow, away, cut off or talking nonsense costs copies, never predictions."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from support.relay_end import RelayEnd, always, answer, predict, relay_running

from sidecar import frame
from sidecar.events import Events
from sidecar.frame import Kind, Want, build_index
from sidecar.passing import MOST_MODELS, ModelName
from sidecar.proxy.link import GATHER_BYTES
from sidecar.proxy.sockets import pause, resume

NOBODY = build_index([])
DIGITS = build_index([Want("digits")])


async def _predictions(end: RelayEnd, count: int, body: bytes = b"in") -> None:
    reader, writer = await end.connect()
    for _ in range(count):
        writer.write(predict(body))
        assert await reader.readexactly(len(answer())) == answer()
    writer.close()
    end.check_counts()


async def _until(end: RelayEnd, *, sequence: int) -> dict[str, int]:
    """The relay's counts, which also means that all that was said to it before has been read."""
    await end.engine.connected()
    return await asyncio.wait_for(end.engine.ask_counts(sequence), 5)


async def test_receipts_settle_what_is_outstanding() -> None:
    async with relay_running(always(answer()), receipt="") as end:
        await _predictions(end, 3)
        await end.engine.arrived(3)
        assert (end.counts.open, end.counts.outstanding) == (3, 3)
        end.engine.acknowledge({"taken": 1, "unwanted": 1, "lost.queue_full": 1})
        counts = await _until(end, sequence=7)
        assert counts["sequence"] == 7
        assert {name: counts[name] for name in ("seen", "taken", "unwanted", "lost.queue_full", "open")} == {
            "seen": 3, "taken": 1, "unwanted": 1, "lost.queue_full": 1, "open": 0,
        }  # fmt: skip
        await end.link.flushed()


async def test_what_is_gathered_goes_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the counts that it stands in, and when the relay drains."""
    monkeypatch.setattr("sidecar.proxy.link.GATHER_SECONDS", 3600)
    async with relay_running(always(answer()), index=DIGITS) as end:
        await _until(end, sequence=1)
        await _predictions(end, 2)
        assert (end.engine.exchanges, end.counts.outstanding) == ([], 2)
        assert (await _until(end, sequence=2))["open"] == 2
        assert len(end.engine.exchanges) == 2
        await _predictions(end, 1)
        await end.link.flushed()
        assert (len(end.engine.exchanges), end.counts.taken) == (3, 3)
        one_bytes = frame.EXCHANGE_PREFIX_BYTES + len(predict(b"in")) + len(answer())
        assert end.link.waiting_bytes <= end.link.waiting_at_most_bytes <= one_bytes


async def test_what_is_gathered_goes_when_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.proxy.link.GATHER_SECONDS", 3600)
    async with relay_running(always(answer()), index=DIGITS) as end:
        await _until(end, sequence=1)
        await _predictions(end, 3, bytes(GATHER_BYTES // 2))
        await end.engine.arrived(2)
        assert end.link.waiting_bytes < GATHER_BYTES
        await end.link.flushed()


BODIES = [bytes([number]) * 400_000 for number in range(5)]


async def _held_up(end: RelayEnd) -> None:
    """The engine reads no more, and `BODIES` are on their way to it."""
    await _until(end, sequence=1)
    for writer in end.engine.writers:
        pause(cast("asyncio.Transport", writer.transport))
    for body in BODIES:
        await _predictions(end, 1, body)


def _read_on(end: RelayEnd) -> None:
    for writer in end.engine.writers:
        resume(cast("asyncio.Transport", writer.transport), has_fin=False)


async def test_large_copies_go_out_in_slices_and_nothing_gets_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.proxy.link.SLICE_BYTES", 100_000)
    given: list[int] = []
    async with relay_running(always(answer()), index=DIGITS) as end:
        await _until(end, sequence=1)
        link: Any = end.link
        transport = link._transport

        class Watched:
            """The transport, which cannot be patched."""

            def __getattr__(self, name: str) -> object:
                return getattr(transport, name)

            def writelines(self, buffers: list[bytes]) -> None:
                given.append(sum(map(len, buffers)))
                transport.writelines(buffers)

        link._transport = Watched()
        await _held_up(end)
        assert end.link.waiting_at_most_bytes >= end.link.waiting_bytes > 1_000_000
        asked = asyncio.create_task(end.link.metrics())
        counts = asyncio.create_task(end.engine.ask_counts(2))
        await asyncio.sleep(0)
        _read_on(end)
        assert await asked == end.engine.metrics_page
        assert (await counts)["seen"] == len(BODIES)
        assert [each.request.body for each in end.engine.exchanges] == BODIES
        await end.link.flushed()
        assert end.link.waiting_bytes == end.link.waiting_at_most_bytes == 0
        assert max(given) < 100_000 + 300_000  # and the last piece, as it was read


async def test_what_waits_for_the_transport_goes_out_at_the_stop_and_is_lost_with_the_connection() -> None:
    async with relay_running(always(answer()), index=DIGITS, receipt="") as end:
        await _held_up(end)
        stopping = asyncio.create_task(end.link.stop())
        await asyncio.sleep(0)
        _read_on(end)
        await stopping
        assert [each.request.body for each in await end.engine.arrived(len(BODIES))] == BODIES
    async with relay_running(always(answer()), index=DIGITS, receipt="") as end:
        await _held_up(end)
        end.engine.cut()
        await end.link.flushed()
        assert (end.counts.lost["engine_away"], end.link.waiting_bytes) == (len(BODIES), 0)
        await end.engine.connected(0)
        await end.engine.connected(1)
        await _predictions(end, 1, BODIES[1])
        assert (await end.engine.arrived(1))[-1].request.body == BODIES[1]


async def test_an_exchange_that_cannot_be_framed_costs_copies_and_no_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> list[bytes]:
        raise MemoryError

    async with relay_running(always(answer()), index=DIGITS) as end:
        await _until(end, sequence=1)
        with monkeypatch.context() as patch:
            patch.setattr(frame, "exchange_frames", broken)
            patch.setattr(Events, "capture_failed", broken)
            await _predictions(end, 2)
            await end.link.flushed()
        assert end.counts.lost["engine_away"] == 2
        await end.engine.connected(0)
        await end.engine.connected(1)
        await _predictions(end, 1)
        await end.engine.arrived(1)


async def test_when_an_exchange_began_is_told_by_the_wall_clock() -> None:
    before = time.time()
    async with relay_running(always(answer())) as end:
        await _predictions(end, 1)
        [exchange] = await end.engine.arrived(1)
        assert before <= exchange.started_at + 0.001
        assert exchange.started_at + exchange.latency_seconds <= time.time() + 0.001
        assert exchange.latency_seconds > 0


async def test_the_index_decides_what_is_copied() -> None:
    async with relay_running(always(answer()), index=NOBODY) as end:
        await _until(end, sequence=1)
        await _predictions(end, 2)
        assert end.counts.unwanted == 2
        end.engine.say(Kind.INDEX, frame.encode_index(DIGITS))
        await _until(end, sequence=2)
        await _predictions(end, 1)
        await end.engine.arrived(1)
        await end.link.flushed()
        assert (end.counts.unwanted, end.counts.taken) == (2, 1)


async def test_a_lost_connection_loses_what_is_outstanding_and_keeps_the_index() -> None:
    async with relay_running(always(answer()), index=DIGITS, receipt="") as end:
        await _predictions(end, 2)
        await end.engine.arrived(2)
        end.engine.cut()
        await end.link.flushed()
        assert end.counts.lost["engine_away"] == 2
        assert end.link.index == DIGITS
        await end.engine.connected(0)
        await end.engine.connected(1)
        await _predictions(end, 1)
        await end.engine.arrived(3)


async def test_what_is_sent_while_no_engine_lives_waits_for_the_next() -> None:
    async with relay_running(always(answer()), engine_starts=False) as end:
        await _predictions(end, 3)
        assert end.counts.open == 3
        await end.engine.start()
        assert len(await end.engine.arrived(3)) == 3
        await end.link.flushed()
        assert end.counts.taken == 3


async def test_an_engine_that_never_comes_fills_the_budget_and_no_more() -> None:
    async with relay_running(always(answer()), engine_starts=False, relay_memory=200_000, max_body=100_000) as end:
        await _predictions(end, 40, bytes(50_000))
        assert end.counts.lost["engine_away"] > 0
        assert end.held_bytes + end.link.waiting_bytes <= 200_000 + 40 * 200
        assert end.counts.open + end.counts.lost["engine_away"] == 40


async def test_an_engine_that_is_slow_loses_under_another_reason() -> None:
    async with relay_running(always(answer()), index=DIGITS, receipt="", relay_memory=200_000, max_body=100_000) as end:
        await _until(end, sequence=1)
        for writer in end.engine.writers:
            pause(cast("asyncio.Transport", writer.transport))
        await _predictions(end, 40, bytes(50_000))
        assert end.counts.lost["queue_full"] > 0
        assert end.counts.lost["engine_away"] == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.ACK, "taken 99"),
        (Kind.ACK, "taken -1"),
        (Kind.ACK, "eaten 1"),
        (Kind.ACK, "nonsense"),
        (Kind.INDEX, "one\ttwo"),
        (Kind.INDEX, "a\tb\tc\tnot-a-number"),
    ],
)
async def test_an_engine_that_talks_nonsense_is_hung_up_on(kind: Kind, text: str) -> None:
    async with relay_running(always(answer()), index=DIGITS, receipt="") as end:
        await _predictions(end, 1)
        await end.engine.arrived(1)
        end.engine.say(kind, text)
        await end.link.flushed()
        assert end.counts.lost["engine_away"] == 1
        await end.engine.connected(0)
        await end.engine.connected(1)
        await _predictions(end, 1)
        await end.engine.arrived(2)


async def test_the_metrics_page_comes_from_the_engine() -> None:
    async with relay_running(always(answer())) as end:
        await end.engine.connected()
        assert await end.link.metrics() == b"up 1\n"


async def test_without_an_answer_in_time_there_is_no_metrics_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.proxy.link.METRICS_SECONDS", 0.05)
    async with relay_running(always(answer())) as end:
        end.engine.metrics_page = None
        assert await end.link.metrics() is None
        await end.link.stop()
        assert await end.link.metrics() is None


async def test_an_engine_that_dies_while_asked_for_metrics_is_not_waited_for() -> None:
    async with relay_running(always(answer()), index=DIGITS) as end:
        await _until(end, sequence=1)
        end.engine.metrics_page = None
        asking = asyncio.create_task(end.link.metrics())
        await asyncio.sleep(0)
        end.engine.cut()
        assert await asyncio.wait_for(asking, 1) is None


async def test_a_long_index_is_read_between_predictions_and_the_newest_wins() -> None:
    """Whole at the end, in many turns of the loop, and not for each that was said."""
    many = [Want(f"model-{number}", caller=f"caller-{number}") for number in range(10_000)]
    async with relay_running(always(answer()), index=NOBODY) as end:
        await _until(end, sequence=1)
        for count in (9_000, 9_500, 10_000):
            end.engine.say(Kind.INDEX, frame.encode_index(build_index(many[:count])))
        seen: set[int] = set()
        async with asyncio.timeout(10):
            while len(seen) < 2:
                await _predictions(end, 1)
                if end.link.index is not None and end.link.index.models:
                    seen.add(len(end.link.index.models))
        assert seen == {9_000, 10_000}


async def test_a_long_index_that_cannot_be_read_is_hung_up_on() -> None:
    text = frame.encode_index(build_index(Want(str(number)) for number in range(1000))) + "\nnonsense"
    async with relay_running(always(answer()), index=DIGITS) as end:
        await _until(end, sequence=1)
        end.engine.say(Kind.INDEX, text)
        await end.engine.connected(0)
        await end.engine.connected(1)
        assert end.link.index == DIGITS


@pytest.mark.parametrize("turns", range(5))
async def test_it_stops_while_it_opens_its_connection_again(turns: int) -> None:
    """An engine that dies in the drain ends the flush and begins a new connection in one turn of the loop."""
    async with relay_running(always(answer()), index=DIGITS, receipt="") as end:
        await _predictions(end, 1)
        await end.engine.arrived(1)
        flushing = asyncio.create_task(end.link.flushed())
        await asyncio.sleep(0)
        end.engine.cut()
        await flushing
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(end.link.stop(), 1)
        await asyncio.wait_for(end.link.stop(), 1)


async def _calls(end: RelayEnd, *targets: str) -> None:
    reader, writer = await end.connect()
    for target in targets:
        writer.write(f"POST {target} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        assert await reader.readexactly(len(answer())) == answer()
    writer.close()


async def test_each_engine_is_told_once_which_models_pass_though_nobody_wants_them() -> None:
    digits, letters = "/v2/models/digits/infer", "/v1/models/letters/versions/3:predict"
    async with relay_running(always(answer()), index=NOBODY) as end:
        await _until(end, sequence=1)
        await _calls(end, digits, letters, digits, "/v2/models/digits/ready", digits + "?again")
        await _until(end, sequence=2)
        told = [ModelName("digits"), ModelName("letters", "3")]
        assert (end.engine.passing, end.counts.unwanted) == (told, 5)
        end.engine.cut()
        await end.engine.connected(0)
        await _calls(end, "/v2/models/numbers/infer")
        await _until(end, sequence=3)
        assert sorted(end.engine.passing[2:]) == sorted([*told, ModelName("numbers")])


async def test_made_up_names_are_kept_up_to_a_number_and_cost_no_prediction() -> None:
    async with relay_running(always(answer()), index=NOBODY) as end:
        await _until(end, sequence=1)
        odd = ("%0A", "%1B[2J", "%E2%80%AEx", "x" * 129, "%00")
        await _calls(end, *(f"/v2/models/{name}/infer" for name in odd))
        await _calls(end, *(f"/v2/models/m-{number}/infer" for number in range(MOST_MODELS + 50)))
        await _until(end, sequence=2)
        assert end.engine.passing == [ModelName(f"m-{number}") for number in range(MOST_MODELS)]
        assert end.counts.unwanted == len(odd) + MOST_MODELS + 50
