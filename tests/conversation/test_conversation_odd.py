"""What is rare, old or wrong passes as it was said; captured where it can be read in one way only, else counted."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest
from support.conversations import OFFER
from support.raw_ends import raw_ends
from support.relay_end import PREDICT, answer, predict, relay_running

LONG = b"X-Long: " + b"v" * (100 << 10) + b"\r\n"
TARGET = b"/v2/models/digits/infer"
JAVA = predict(b"from Java", OFFER)
JAVA_CHUNKED = PREDICT + OFFER + b"Transfer-Encoding: chunked\r\n\r\n9\r\nfrom Java\r\n0\r\n\r\n"


class Odd(NamedTuple):
    """A request with its answer; `uncaptured` is the reason that is counted when it cannot be read."""

    request: bytes
    response: bytes = answer(b"ok")
    uncaptured: str = ""
    body: bytes = b"abc"
    """The captured request's."""


def with_lines(*lines: bytes, body: bytes = b"abc") -> bytes:
    return b"".join((PREDICT, *lines, b"\r\n", body))


LENGTH = b"Content-Length: 3\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n"
ODD = {
    "absolute form": Odd(b"POST http://model:80" + TARGET + b" HTTP/1.1\r\nHost: m\r\n" + LENGTH + b"\r\nabc"),
    "1.0 keep-alive": Odd(b"POST " + TARGET + b" HTTP/1.0\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\nabc"),
    "1.0 without length": Odd(b"POST " + TARGET + b" HTTP/1.0\r\n\r\n", body=b""),
    "no host, odd case": Odd(b"POST " + TARGET + b" HTTP/1.1\r\ncOnTeNt-LeNgTh:\t3 \r\n\r\nabc"),
    "bytes beyond ASCII": Odd(with_lines(b"X-Name: J\xfcrgen \xf0\x9f\x99\x82\r\n", LENGTH)),
    "blank lines before": Odd(b"\r\n\r\n" + with_lines(LENGTH)),
    "offered upgrade": Odd(with_lines(OFFER, LENGTH)),
    "HTTP/0.9": Odd(b"GET /old\r\n", b"<html>as old as it gets", "unreadable"),
    "CONNECT": Odd(b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x01", "connect"),
    "NUL in a value": Odd(with_lines(b"X-Nul: a\x00b\r\n", LENGTH), answer(b"", b"400 Bad"), "unreadable"),
    "NUL in a name": Odd(with_lines(b"X\x00: b\r\n", LENGTH), answer(b"", b"400 Bad"), "unreadable"),
    "NUL in the answer": Odd(with_lines(LENGTH), answer(b"", headers=b"X: \x00\r\n"), "unreadable"),
    "folded line": Odd(with_lines(b"X-Long: begun\r\n and folded\r\n", LENGTH), uncaptured="unreadable"),
    "folded line in the answer": Odd(with_lines(LENGTH), answer(headers=b"A: b\r\n c\r\n"), "unreadable"),
    "bare LF": Odd(with_lines(b"A: b\n", LENGTH), uncaptured="unreadable"),
    "only bare LF": Odd(with_lines(LENGTH).replace(b"\r\n", b"\n"), uncaptured="unreadable"),
    "bare CR": Odd(with_lines(b"A: b\rContent-Length: 9\r\n", LENGTH), uncaptured="unreadable"),
    "two lengths": Odd(with_lines(LENGTH, b"Content-Length: 4\r\n"), uncaptured="unreadable"),
    "one length twice": Odd(with_lines(LENGTH, LENGTH), uncaptured="unreadable"),
    "a length and chunks": Odd(with_lines(LENGTH, CHUNKS, body=b"0\r\n\r\n"), b"?", "unreadable"),
    "two lengths in the answer": Odd(with_lines(LENGTH), answer(b"ok", headers=b"Content-Length: 3\r\n"), "unreadable"),
    "space before a colon": Odd(with_lines(b"Content-Length : 3\r\n"), uncaptured="unreadable"),
    "odd coding": Odd(with_lines(b"Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"), uncaptured="unreadable"),
    "chunk without CR": Odd(
        with_lines(CHUNKS, body=b"3\nabc\n0\n\n"), uncaptured="unreadable"
    ),
    "no HTTP at all": Odd(b"\x16\x03\x01\x02\x00\x01", b"\x15\x03\x01\x00\x02\x02\x28", "unreadable"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_it_passes_and_is_captured_or_counted(odd: Odd) -> None:
    async with raw_ends() as ends:
        ends.client.send(odd.request)
        assert await ends.model.hears(len(odd.request)) == odd.request
        ends.model.send(odd.response)
        assert await ends.client.hears(len(odd.response)) == odd.response
        ends.client.send(b"more")
        assert await ends.model.hears(4) == b"more"
        ends.client.close()
        assert await ends.model.hears_to_the_end() == (b"", "fin")
        ends.model.close()
        relay = await ends.settled()
        assert relay is not None
        relay.check_counts()
        assert {name: count for name, count in relay.counts.uncaptured.items() if count} == (
            {odd.uncaptured: 1} if odd.uncaptured else {}
        )
        if not odd.uncaptured:
            [exchange] = relay.engine.exchanges
            assert exchange.request.body == odd.body
            assert exchange.response_is_whole


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_very_long_head_passes_and_is_captured_or_counted(pieces: int) -> None:
    request, response = with_lines(LONG, LENGTH), answer(b"ok", headers=LONG)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(request)) == request
        writer.write(response)

    async with relay_running(serve) as end:
        half = len(request) // pieces
        assert await end.talk([request[:half], request[half:]]) == response
        await end.server._relay.all_closed()
        await end.link.flushed()
        assert end.counts.taken + end.counts.uncaptured["unreadable"] == 1


async def test_a_server_of_http2_may_speak_first() -> None:
    settings = b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00" + b"\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with raw_ends() as ends:
        ends.model.send(settings)
        assert await ends.client.hears(len(settings)) == settings
        ends.client.send(preface)
        assert await ends.model.hears(len(preface)) == preface
        assert ends.relay is not None
        assert ends.relay.counts.uncaptured["http2"] == 1
        assert sum(ends.relay.counts.uncaptured.values()) == 1


async def test_a_java_client_that_offers_h2c_on_every_call_is_captured_each_time() -> None:
    async with raw_ends() as ends:
        for request in (JAVA, JAVA_CHUNKED, JAVA, JAVA_CHUNKED):
            ends.client.send(request)
            assert await ends.model.hears(len(request)) == request
            ends.model.send(answer(b"plain HTTP/1"))
            assert await ends.client.hears(len(answer(b"plain HTTP/1"))) == answer(b"plain HTTP/1")
        assert ends.relay is not None
        exchanges = await ends.relay.engine.arrived(4)
        assert [each.request.body for each in exchanges] == [b"from Java"] * 4
        assert all(OFFER in each.request.head for each in exchanges)
        assert not any(ends.relay.counts.uncaptured.values())


async def test_a_java_client_whose_offer_is_taken_goes_on_in_http2_uncaptured() -> None:
    taken = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00\x00\x04\x00"
    async with raw_ends() as ends:
        ends.client.send(JAVA)
        await ends.model.hears(len(JAVA))
        ends.model.send(taken)
        assert await ends.client.hears(len(taken)) == taken
        ends.client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert await ends.model.hears(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        assert ends.relay is not None
        assert (ends.relay.counts.lost["upgraded"], ends.relay.counts.uncaptured["upgraded"]) == (1, 1)


async def test_what_follows_an_unreadable_exchange_passes_too() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.readexactly(100_000)))
        writer.write_eof()
        await reader.read()

    sent = with_lines(LENGTH, LENGTH) + predict(b"x" * 200_000)
    async with relay_running(serve) as end:
        assert await end.talk([sent[:100_000]], then_fin=False) == answer(sent[:100_000])
        assert (end.counts.seen, end.counts.uncaptured["unreadable"]) == (0, 1)
