"""How many clients a number of descriptors is enough for, and where clients come in."""

from __future__ import annotations

import asyncio

import pytest
from support.relay_end import RelayEnd, always, answer, predict, relay_running

from sidecar.proxy import server
from sidecar.proxy.listener import RESERVED_DESCRIPTORS, backlog_for, most_pairs_for


@pytest.mark.parametrize("descriptors", [64, 160, 256, 1024, 20_000, 1 << 30])
def test_a_backlog_taken_at_once_still_fits(descriptors: int) -> None:
    pairs = most_pairs_for(descriptors)
    assert pairs >= 1
    if descriptors > 2 * RESERVED_DESCRIPTORS:
        assert 2 * (pairs + backlog_for(descriptors)) + RESERVED_DESCRIPTORS <= descriptors


async def _predict_and_stay(end: RelayEnd) -> asyncio.StreamWriter:
    reader, writer = await end.connect()
    writer.write(predict())
    assert await asyncio.wait_for(reader.readexactly(len(answer())), 5) == answer()
    return writer


@pytest.mark.parametrize(("uses_unix", "waiting"), [(False, 3), (True, 1)])
async def test_one_more_than_the_most_waits_for_another_to_leave(
    monkeypatch: pytest.MonkeyPatch, uses_unix: bool, waiting: int
) -> None:
    monkeypatch.setattr(server, "descriptor_limit", lambda: 1)  # enough for one pair
    async with relay_running(always(answer()), uses_unix=uses_unix) as end:
        first = await _predict_and_stay(end)
        others = {asyncio.create_task(_predict_and_stay(end)) for _ in range(waiting)}
        while others:
            first.close()
            done, others = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            for task in done:
                first.close()
                first = await task
            assert done
        first.close()
        assert end.log.getvalue().count("too many connections") == 1
