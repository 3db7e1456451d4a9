"""The relay on real sockets: what one side sends is what the other side gets, whatever it is."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from support.relay_end import always, answer, predict, read_request, relay_running
from support.slow_client import Flood, read_slowly

from sidecar.proxy.relay import Downstream, Relay


async def test_a_predict_call_passes_and_its_copy_arrives() -> None:
    async with relay_running(always(answer(b"out"))) as end:
        assert await end.talk([predict(b"in")]) == answer(b"out")
        [exchange] = await end.engine.arrived(1)
        assert exchange.request.head + exchange.request.body == predict(b"in")
        assert exchange.request.body == b"in"
        assert exchange.response is not None
        assert exchange.response.head + exchange.response.body == answer(b"out")
        assert exchange.response_is_whole
        await end.link.flushed()
        assert (end.counts.seen, end.counts.taken, end.counts.open) == (1, 1, 0)
        assert (end.counts.bytes_in, end.counts.bytes_out) == (len(predict(b"in")), len(answer(b"out")))


async def test_a_connection_is_kept_alive_over_many_exchanges() -> None:
    async with relay_running(always(answer())) as end:
        reader, writer = await end.connect()
        for number in range(5):
            writer.write(predict(b"%d" % number))
            assert await reader.readexactly(len(answer())) == answer()
        writer.close()
        assert [exchange.request.body for exchange in await end.engine.arrived(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert end.counts.connections_total == 1


async def test_fin_is_passed_on_and_the_answer_still_comes_back() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(-1) == predict()
        writer.write(answer(b"after the end"))

    async with relay_running(serve) as end:
        assert await end.talk([predict()]) == answer(b"after the end")


async def test_an_answer_without_length_is_whole_when_the_model_ends_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall ")
        await writer.drain()
        writer.write(b"of it")

    async with relay_running(serve) as end:
        assert await end.talk([predict()], then_fin=False) == b"HTTP/1.1 200 OK\r\n\r\nall of it"
        [exchange] = await end.engine.arrived(1)
        assert exchange.response is not None
        assert exchange.response.body == b"all of it"
        assert exchange.response_is_whole


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_reset_of_the_model_is_a_reset_for_the_client() -> None:
    may_reset = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nnot all")
        await may_reset.wait()
        _reset(writer)

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(predict())
        assert (await reader.readuntil(b"not all")).endswith(b"not all")
        may_reset.set()
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()
        [exchange] = await end.engine.arrived(1)
        assert not exchange.response_is_whole
        assert exchange.response is not None
        assert exchange.response.body == b"not all"


async def test_a_reset_of_the_client_is_a_reset_for_the_model() -> None:
    seen: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    began = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"half")
        began.set()
        try:
            await reader.read(-1)
        except ConnectionResetError as error:
            seen.set_result(error)

    async with relay_running(serve) as end:
        _, writer = await end.connect()
        writer.write(predict(b"half a body")[:-7])
        await began.wait()
        _reset(writer)
        assert isinstance(await asyncio.wait_for(seen, 5), ConnectionResetError)
        await asyncio.wait_for(end.server._relay.all_closed(), 5)
        assert end.counts.lost["client_left"] == 1


async def test_a_client_that_leaves_before_the_answer_leaves_an_exchange_without_one() -> None:
    began = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        began.set()
        await reader.read(-1)

    async with relay_running(serve) as end:
        _, writer = await end.connect()
        writer.write(predict(b"asked"))
        await began.wait()
        _reset(writer)
        [exchange] = await end.engine.arrived(1)
        assert exchange.request.body == b"asked"
        assert exchange.response is None
        assert not exchange.response_is_whole


async def test_a_model_that_leaves_mid_answer_ends_the_client_the_same_way() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b"whole answer")[:-4])

    async with relay_running(serve) as end:
        assert await end.talk([predict()], then_fin=False) == answer(b"whole answer")[:-4]
        [exchange] = await end.engine.arrived(1)
        assert exchange.response is not None
        assert exchange.response.body == b"whole an"
        assert not exchange.response_is_whole


async def test_a_model_that_is_down_is_said_with_its_reason() -> None:
    async with relay_running(None) as end:
        said = await end.talk([predict(b"x" * 10)], then_fin=False)
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"Connection: close" in head
        assert b"Content-Length: %d" % len(body) in head
        reason = json.loads(body)
        assert reason["reason"] == "upstream_refused"
        assert reason["upstream"].startswith("127.0.0.1:")
        assert (end.counts.seen, end.counts.upstream_refused) == (0, 1)
        assert await end.talk([predict()[:0] + b"HEAD / HTTP/1.1\r\n\r\n"], then_fin=False) == head + b"\r\n\r\n"
        assert end.counts.upstream_refused == 2
        assert end.log.getvalue().count("model cannot be reached") == 1


async def test_a_502_reaches_a_client_that_is_still_uploading() -> None:
    async with relay_running(None) as end:
        reader, writer = await end.connect()
        writer.write(predict(b"x" * (4 << 20)))
        said = await asyncio.wait_for(reader.read(-1), 5)
        assert said.startswith(b"HTTP/1.1 502 ")
        await writer.drain()
        writer.close()


async def test_what_is_not_http_is_reset_when_the_model_is_down() -> None:
    async with relay_running(None) as end:
        with pytest.raises(ConnectionResetError):
            await end.talk([b"\x16\x03\x01 hello"], then_fin=False)


async def test_a_slow_client_slows_the_model_down() -> None:
    flood = Flood()
    async with relay_running(flood.serve) as end:
        await read_slowly(end, flood, *await end.connect())
        assert end.counts.lost["too_large"] == 1


async def test_a_slow_model_slows_the_client_down() -> None:
    may_read = asyncio.Event()
    total = 32 << 20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        await read_request(reader)
        writer.write(answer())

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(predict(bytes(total)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)
        assert end.counts.bytes_in < total
        may_read.set()
        assert await reader.readexactly(len(answer())) == answer()
        writer.close()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "connect"),
        (b"\x16\x03\x01\x02\x00 tls", "unreadable"),
        (b"GET / HTTP/1.1\nHost: bare\n\n", "unreadable"),
    ],
)
async def test_what_is_not_http1_passes_uncaptured(sent: bytes, reason: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    async with relay_running(serve) as end:
        assert await end.talk([sent, b"and more"]) == sent + b"and more"
        assert end.counts.uncaptured[reason] == 1
        assert end.counts.seen == 0


async def test_an_upgrade_that_is_taken_ends_capture_and_nothing_else() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello")
        while data := await reader.read(100):
            writer.write(data)

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(predict(headers=b"Connection: upgrade\r\nUpgrade: x\r\n"))
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"\x00\x01")
        assert await reader.readexactly(2) == b"\x00\x01"
        writer.close()
        assert end.counts.lost["upgraded"] == 1
        assert end.counts.uncaptured["upgraded"] == 1


async def test_small_writes_are_not_held_back() -> None:
    async with relay_running(always(answer())) as end:
        reader, writer = await end.connect()
        writer.write(predict())
        await reader.readexactly(len(answer()))
        [connection] = end.server._relay.connections
        assert connection.upstream is not None
        for transport in (connection.transport, connection.upstream.transport):
            assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()


class SlowConnect:
    """Makes the relay's connecting wait for `may_connect`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_connect = asyncio.Event()
        self.is_asked = asyncio.Event()
        connect = Relay.connect

        async def slow(relay: Relay, downstream: Downstream) -> None:
            self.is_asked.set()
            await self.may_connect.wait()
            await connect(relay, downstream)

        monkeypatch.setattr(Relay, "connect", slow)


async def test_what_comes_before_the_model_is_connected_goes_first_and_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = bytes(8 << 20)
    slow = SlowConnect(monkeypatch)
    async with relay_running(always(answer()), max_body=8 << 20, relay_memory=32 << 20) as end:
        reader, writer = await end.connect()
        writer.write(predict(body))
        writer.write_eof()
        await slow.is_asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.2)
        [connection] = end.server._relay.connections
        assert 0 < len(connection._early) < 1 << 20
        slow.may_connect.set()
        assert await asyncio.wait_for(reader.read(-1), 10) == answer()
        [exchange] = await end.engine.arrived(1)
        assert exchange.request.body == body
        writer.close()


async def test_a_client_that_leaves_before_the_model_is_connected_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = SlowConnect(monkeypatch)
    async with relay_running(always(answer())) as end:
        _, writer = await end.connect()
        await slow.is_asked.wait()
        _reset(writer)
        await asyncio.wait_for(end.server._relay.all_closed(), 5)
        slow.may_connect.set()
        await end.server._relay.tasks.drained()
        assert end.counts.seen == 0


async def test_a_client_that_ended_and_said_nothing_is_reset_when_the_model_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = SlowConnect(monkeypatch)
    async with relay_running(None) as end:
        reader, writer = await end.connect()
        await slow.is_asked.wait()
        [connection] = end.server._relay.connections
        writer.write_eof()
        async with asyncio.timeout(5):
            while not connection.has_fin:  # noqa: ASYNC110 - a transport's own state, which sets no event
                await asyncio.sleep(0)
        slow.may_connect.set()
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()
