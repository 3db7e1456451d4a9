"""An answer may take as long as it likes: unless a limit is set, no time that passes ends anything."""

from __future__ import annotations

import asyncio

from support.raw_ends import raw_ends
from support.relay_end import answer, predict

DAY_SECONDS = 86_400.0


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop on which a day passes in no time: every timer that is due within it fires."""

    leapt_seconds = 0.0

    def time(self) -> float:
        return super().time() + self.leapt_seconds

    async def a_day_passes(self) -> None:
        self.leapt_seconds += DAY_SECONDS
        for _ in range(10):
            await asyncio.sleep(0)


async def _poll(loop: LeapingLoop) -> None:
    request, response = b"\r\n" + predict(b"is it done?"), answer(b"it is")
    async with raw_ends() as ends:
        for _ in range(2):
            for piece in (request[:2], request[2:10], request[10:-3], request[-3:]):
                ends.client.send(piece)
                assert await ends.model.hears(len(piece)) == piece
                await loop.a_day_passes()
            for piece in (response[:10], response[10:-3], response[-3:]):
                ends.model.send(piece)
                assert await ends.client.hears(len(piece)) == piece
                await loop.a_day_passes()
        ends.client.close()
        assert await ends.model.hears_to_the_end() == (b"", "fin")
        ends.model.close()
        relay = await ends.settled()
        assert relay is not None
        assert [each.response_is_whole for each in await relay.engine.arrived(2)] == [True, True]
        assert relay.counts.taken == 2


def test_a_day_between_any_two_pieces_ends_nothing() -> None:
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, LeapingLoop)
        runner.run(_poll(loop))


def test_the_day_does_pass() -> None:
    """Else the test above would hold of anything."""

    async def times_out(loop: LeapingLoop) -> bool:
        fired = asyncio.Event()
        loop.call_later(DAY_SECONDS - 1, fired.set)
        await loop.a_day_passes()
        return fired.is_set()

    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, LeapingLoop)
        assert runner.run(times_out(loop))
