"""Who leaves when, and how: the other side learns of it as it would without the relay, and it is accounted for."""

from __future__ import annotations

import pytest
from support.raw_ends import raw_ends
from support.relay_end import PREDICT, answer, predict

REFUSAL = answer(b"too much", b"413 Content Too Large", b"Connection: close\r\n")
UPLOAD = PREDICT + b"Content-Length: 10000\r\n\r\n"
relayed_or_not = pytest.mark.parametrize("relayed", [True, False], ids=["relayed", "direct"])


@relayed_or_not
async def test_an_early_answer_is_heard_although_the_model_then_resets_the_upload(relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(UPLOAD)
        assert await ends.model.hears(10) == UPLOAD[:10]
        ends.client.send(b"x" * 5000)
        ends.model.send(REFUSAL)
        ends.model.close()  # with something unread: a reset
        assert await ends.client.hears_to_the_end() == (REFUSAL, "reset")
        ends.client.close()
        if relay := await ends.settled():
            assert (relay.counts.seen, relay.counts.lost["upstream_left"]) == (1, 1)


@relayed_or_not
async def test_an_early_answer_is_heard_and_the_upload_goes_on_when_the_model_lingers(relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(UPLOAD)
        await ends.model.hears(len(UPLOAD))
        ends.model.send(REFUSAL)
        ends.model.end()
        assert await ends.client.hears_to_the_end() == (REFUSAL, "fin")
        ends.client.send(b"x" * 10_000)
        ends.client.close()
        assert await ends.model.hears_to_the_end() == (b"x" * 10_000, "fin")
        ends.model.close()
        if relay := await ends.settled():
            assert (relay.counts.seen, relay.counts.lost["upstream_left"]) == (1, 1)


@relayed_or_not
async def test_a_last_request_is_heard_although_the_client_then_resets(relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(predict(b"first"))
        await ends.model.hears(len(predict(b"first")))
        ends.model.send(answer(b"not waited for"))
        ends.client.send(predict(b"last"))
        ends.client.reset()
        assert await ends.model.hears_to_the_end() == (predict(b"last"), "reset")
        if relay := await ends.settled():
            assert [each.request.body for each in await relay.engine.arrived(2)] == [b"first", b"last"]


@relayed_or_not
async def test_a_client_may_end_its_side_and_hear_the_answer_in_pieces(relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(predict(b"asked"))
        ends.client.end()
        assert await ends.model.hears_to_the_end() == (predict(b"asked"), "fin")
        for at in range(0, len(answer()), 7):
            ends.model.send(answer()[at : at + 7])
            assert await ends.client.hears(len(answer()[at : at + 7])) == answer()[at : at + 7]
        ends.model.close()
        assert await ends.client.hears_to_the_end() == (b"", "fin")
        if relay := await ends.settled():
            assert relay.counts.taken == 1


@relayed_or_not
async def test_a_model_may_end_its_side_and_hear_the_request_in_pieces(relayed: bool) -> None:
    said = b"HTTP/1.1 200 OK\r\n\r\nall I have to say"
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(UPLOAD)
        await ends.model.hears(len(UPLOAD))
        ends.model.send(said)
        ends.model.end()
        assert await ends.client.hears_to_the_end() == (said, "fin")
        for _ in range(10):
            ends.client.send(b"x" * 1000)
            assert await ends.model.hears(1000) == b"x" * 1000
        ends.client.end()
        assert await ends.model.hears_to_the_end() == (b"", "fin")
        if relay := await ends.settled():
            assert (relay.counts.seen, relay.counts.lost["upstream_left"]) == (1, 1)


@relayed_or_not
@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_client_that_leaves_mid_request(how: str, relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(UPLOAD + b"half")
        assert await ends.model.hears(len(UPLOAD) + 4) == UPLOAD + b"half"
        ends.client.reset() if how == "reset" else ends.client.close()
        assert await ends.model.hears_to_the_end() == (b"", how)
        ends.model.close()
        if relay := await ends.settled():
            assert (relay.counts.seen, relay.counts.lost["client_left"]) == (1, 1)


@relayed_or_not
async def test_a_client_that_leaves_mid_answer(relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(predict())
        await ends.model.hears(len(predict()))
        ends.model.send(answer(b"half of it")[:-5])
        await ends.client.hears(1)
        ends.client.reset()
        assert await ends.model.hears_to_the_end() == (b"", "reset")
        if relay := await ends.settled():
            [exchange] = await relay.engine.arrived(1)
            assert exchange.response is not None
            assert (exchange.response.body, exchange.response_is_whole) == (b"half ", False)


@relayed_or_not
@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_model_that_leaves_mid_answer(how: str, relayed: bool) -> None:
    half = answer(b"half of it")[:-5]
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(predict())
        await ends.model.hears(len(predict()))
        ends.model.send(half)
        ends.model.reset() if how == "reset" else ends.model.close()
        assert await ends.client.hears_to_the_end() == (half, how)
        ends.client.close()
        if relay := await ends.settled():
            [exchange] = await relay.engine.arrived(1)
            assert not exchange.response_is_whole


@relayed_or_not
async def test_an_idle_connection_that_the_model_closes_is_closed_for_the_client(relayed: bool) -> None:
    async with raw_ends(relayed=relayed) as ends:
        ends.client.send(predict())
        await ends.model.hears(len(predict()))
        ends.model.send(answer())
        assert await ends.client.hears(len(answer())) == answer()
        ends.model.close()
        assert await ends.client.hears_to_the_end() == (b"", "fin")
        ends.client.close()
        if relay := await ends.settled():
            assert (relay.counts.seen, relay.counts.taken) == (1, 1)


async def test_a_request_that_meets_the_close_of_an_idle_connection_gets_no_answer_and_is_accounted_for() -> None:
    async with raw_ends() as ends:
        ends.client.send(predict(b"first"))
        await ends.model.hears(len(predict(b"first")))
        ends.model.send(answer())
        await ends.client.hears(len(answer()))
        ends.model.close()
        ends.client.send(predict(b"too late"))
        heard, _ = await ends.client.hears_to_the_end()
        assert heard == b""
        ends.client.close()
        relay = await ends.settled()
        assert relay is not None
        assert relay.counts.seen == 2
        relay.check_counts()
        last = (await relay.engine.arrived(2))[1]
        assert (last.request.body, last.response) == (b"too late", None)
