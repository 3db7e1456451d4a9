"""TLS on either side: the same bytes, the same ends, and nobody served who should not be."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import ssl
from typing import Any, NamedTuple, cast

import pytest
from support.relay_end import Model, always, answer, predict, read_request, relay_running
from support.slow_client import Flood, read_slowly
from support.trust import HOSTS, Trust, ask, tls_both

from sidecar.proxy import tls
from sidecar.proxy.sockets import reset
from sidecar.proxy.tls import TlsConnection


@pytest.mark.parametrize(("client_tls", "model_tls"), [(True, True), (True, False), (False, True)])
async def test_bytes_pass_as_they_are_both_ways(trust: Trust, client_tls: bool, model_tls: bool) -> None:
    body, back = random.Random(1).randbytes(3 << 20), random.Random(2).randbytes(3 << 20)
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in (b"small", back):
            got.append(await read_request(reader))
            writer.write(answer(said))

    settings: dict[str, Any] = {"max_body": 4 << 20}
    if client_tls:
        settings |= trust.listener
    if model_tls:
        settings |= {"model_tls": trust.model(), "upstream_ca": trust.authority.path}
    async with relay_running(serve, **settings) as end:
        reader, writer = await end.connect(trust.authority.client() if client_tls else None)
        for sent, said in ((predict(b"in"), answer(b"small")), (predict(body), answer(back))):
            writer.write(sent)
            assert await asyncio.wait_for(reader.readexactly(len(said)), 10) == said
        writer.close()
        assert got == [predict(b"in"), predict(body)]
        for exchange, bodies in zip(await end.engine.arrived(2), ((b"in", b"small"), (body, back)), strict=True):
            assert exchange.response is not None
            assert (exchange.request.body, exchange.response.body) == bodies
            assert exchange.response_is_whole


async def test_only_clients_with_a_certificate_of_the_authority_are_served(trust: Trust) -> None:
    settings = {**trust.listener, "tls_client_ca": trust.authority.path}
    async with relay_running(always(answer()), **settings) as end:
        reader, writer = await end.connect(trust.authority.client(trust.client))
        writer.write(predict())
        assert await reader.readexactly(len(answer())) == answer()
        writer.close()
        strangers = (trust.authority.client(), trust.authority.client(trust.strange))
        for refused, context in enumerate(strangers, start=1):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await ask(end, predict(), context)
            assert end.counts.tls_refused == refused
        assert end.counts.connections_total == 1
        assert end.counts.seen == 1


async def test_the_model_is_shown_our_certificate(trust: Trust) -> None:
    shown = {"upstream_cert": trust.client.cert, "upstream_key": trust.client.key}
    async with tls_both(trust, always(answer()), model_tls=trust.model(needs_client=True), **shown) as end:
        reader, writer = await end.connect(trust.authority.client())
        writer.write(predict())
        assert await reader.readexactly(len(answer())) == answer()
        writer.close()


async def test_a_model_that_refuses_our_certificate_is_said(trust: Trust) -> None:
    """It says so after the handshake only. The model is another relay, which says why."""
    async with relay_running(always(answer()), **trust.listener, tls_client_ca=trust.authority.path) as model:
        upstream = model.server.address._replace(is_tls=True)
        async with relay_running(None, upstream=upstream, upstream_ca=trust.authority.path) as end:
            with pytest.raises(ConnectionResetError):
                await ask(end, predict())
            assert end.log.getvalue().count("TLS with the model broke") == 1
            assert "certificate required" in end.log.getvalue()
            assert model.counts.tls_refused == 1
            assert "peer did not return a certificate" in end.log.getvalue()


class WrongModel(NamedTuple):
    """A model that is not who it should be, and what is said of it."""

    days: int
    hosts: tuple[str, ...]
    reason: str


@pytest.mark.parametrize(
    "wrong",
    [
        WrongModel(1, ("elsewhere.example",), "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        WrongModel(-2, HOSTS, "certificate has expired"),
    ],
    ids=["name", "expired"],
)
async def test_a_model_with_a_wrong_certificate_is_not_spoken_to(trust: Trust, wrong: WrongModel) -> None:
    identity = trust.authority.sign("wrong", *wrong.hosts, days=wrong.days)
    async with tls_both(trust, always(answer()), model_tls=trust.authority.server(identity)) as end:
        said = await ask(end, predict(b"secret"), trust.authority.client())
        assert said.startswith(b"HTTP/1.1 502 ")
        reason = json.loads(said.partition(b"\r\n\r\n")[2])
        upstream = reason["upstream"]
        assert upstream.startswith("https://127.0.0.1:")
        assert reason["error"] == (
            f"the model server at {upstream} cannot be reached: certificate verify failed: {wrong.reason}"
        )


async def test_a_model_of_a_stranger_is_not_spoken_to(trust: Trust) -> None:
    async with tls_both(trust, always(answer()), model_tls=trust.stranger.server(trust.strange)) as end:
        said = await ask(end, predict(), trust.authority.client())
        assert b"cannot be reached: certificate verify failed: unable to get local issuer certificate" in said
        assert str(trust.authority.path).encode() not in said


async def test_the_name_on_the_certificate_may_be_another_than_the_host(trust: Trust) -> None:
    identity = trust.authority.sign("named", "model.example")
    named: dict[str, Any] = {"model_tls": trust.authority.server(identity), "upstream_server_name": "model.example"}
    async with tls_both(trust, always(answer()), **named) as end:
        reader, writer = await end.connect(trust.authority.client())
        writer.write(predict())
        assert await reader.readexactly(len(answer())) == answer()
        writer.close()


async def test_a_model_that_is_down_is_said_over_tls(trust: Trust) -> None:
    async with tls_both(trust, None) as end:
        said = await ask(end, predict(b"x" * (1 << 20)), trust.authority.client())
        assert said.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["reason"] == "upstream_refused"


async def test_a_plain_client_that_ends_still_gets_its_answer_from_a_model_behind_tls(trust: Trust) -> None:
    has_ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await writer.drain()
        writer.write(b"lf")
        assert await reader.read(-1) == b""
        has_ended.set()

    async with relay_running(serve, model_tls=trust.model(), upstream_ca=trust.authority.path) as end:
        assert (await end.talk([predict()])).endswith(b"\r\n\r\nhalf")
        await asyncio.wait_for(has_ended.wait(), 5)


async def test_the_end_of_a_request_that_is_not_whole_is_passed_to_a_model_behind_tls(trust: Trust) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(-1) == predict(b"whole")[:-1]

    async with relay_running(serve, model_tls=trust.model(), upstream_ca=trust.authority.path) as end:
        assert await end.talk([predict(b"whole")[:-1]]) == b""
        assert end.counts.lost["client_left"] == 1


async def test_what_is_not_read_has_its_end_passed_to_a_model_behind_tls_at_once(trust: Trust) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(-1) == b"\x00 not HTTP"

    async with relay_running(serve, model_tls=trust.model(), upstream_ca=trust.authority.path) as end:
        assert await end.talk([b"\x00 not HTTP"]) == b""


class _Silent:
    """A greeter that only listens."""

    def greeted(self, connection: TlsConnection) -> None:
        pass

    def failed(self, connection: TlsConnection, error: OSError) -> None:
        pass


class _HalfClosing(asyncio.Protocol):
    """A client that says `close_notify` after its request and reads on, which the loop's own TLS cannot."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.heard = b""
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.transport: TlsConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("TlsConnection", transport)
        self.transport.write(self._said)
        self.transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> bool:
        if self.transport is not None and not self.ended.done():
            self.ended.set_result(not self.transport.was_cut)
        return False


async def test_a_client_may_end_over_tls_and_still_read_its_answer(trust: Trust) -> None:
    back = random.Random(3).randbytes(1 << 20)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(-1) == predict()  # its end has come as well
        writer.write(answer(back))

    async with relay_running(serve, **trust.listener) as end:
        above = _HalfClosing(predict())
        below = TlsConnection(above, trust.authority.client(), _Silent(), server_name="localhost")
        await asyncio.get_running_loop().create_connection(lambda: below, "127.0.0.1", end.server.address.port)
        assert await asyncio.wait_for(above.ended, 10)
        assert above.heard == answer(back)
        below.close()


def _fin_alone(writer: asyncio.StreamWriter) -> None:
    """End as a process that dies does: FIN, without TLS's own end."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as same:
        same.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("is_cut", [False, True])
async def test_an_answer_without_length_is_whole_only_if_tls_was_ended(trust: Trust, is_cut: bool) -> None:
    may_end = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nto the end")
        await may_end.wait()
        if is_cut:
            _fin_alone(writer)
            await reader.read(-1)

    async with relay_running(serve, model_tls=trust.model(), upstream_ca=trust.authority.path) as end:
        reader, writer = await end.connect()
        writer.write(predict())
        await reader.readuntil(b"to the end")
        may_end.set()
        if is_cut:
            with pytest.raises(ConnectionResetError):
                await reader.read(-1)
        else:
            assert await reader.read(-1) == b""
        writer.close()
        [exchange] = await end.engine.arrived(1)
        assert exchange.response_is_whole is not is_cut


async def test_a_reset_of_the_model_is_no_end_for_a_client_over_tls(trust: Trust) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nnot all")
        await writer.drain()
        await reader.readexactly(1)
        reset(cast("asyncio.Transport", writer.transport))

    async with relay_running(serve, **trust.listener) as end:
        reader, writer = await end.connect(trust.authority.client())
        writer.write(predict())
        await reader.readuntil(b"not all")
        writer.write(b"P")
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()


async def test_a_slow_client_over_tls_slows_the_model_down(trust: Trust) -> None:
    flood = Flood()
    async with tls_both(trust, flood.serve) as end:
        await read_slowly(end, flood, *await end.connect(trust.authority.client()))


async def _write_until_stuck(writer: asyncio.StreamWriter, whole: memoryview) -> int:
    """How many bytes were written until no more were taken."""
    for sent in range(1 << 20, len(whole), 1 << 20):
        writer.write(whole[sent - (1 << 20) : sent])
        try:
            await asyncio.wait_for(writer.drain(), 0.5)
        except TimeoutError:
            return sent
    return len(whole)


async def test_a_slow_model_behind_tls_slows_the_client_down(trust: Trust) -> None:
    may_read = asyncio.Event()
    total = 32 << 20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        await read_request(reader)
        writer.write(answer())

    async with tls_both(trust, serve) as end:
        reader, writer = await end.connect(trust.authority.client())
        whole = memoryview(predict(bytes(total)))
        sent = await _write_until_stuck(writer, whole)
        assert end.counts.bytes_in < sent < total
        [connection] = end.server._relay.connections
        assert connection.upstream is not None
        assert connection.upstream.transport.get_write_buffer_size() < 2 << 20
        may_read.set()
        writer.write(whole[sent:])
        assert await asyncio.wait_for(reader.readexactly(len(answer())), 10) == answer()
        writer.close()


async def test_a_client_that_shakes_no_hands_is_let_go(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.05)
    async with tls_both(trust, always(answer())) as end:
        reader, writer = await end.connect()
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
        writer.close()
        assert (end.counts.tls_refused, end.counts.connections_total) == (1, 0)
        assert not end.server._doorway._greeting


async def test_a_model_that_shakes_no_hands_is_not_waited_for(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    model = Model(serve)
    upstream = (await model.start())._replace(is_tls=True)
    async with relay_running(None, upstream=upstream, upstream_ca=trust.authority.path) as end:
        assert b"the TLS handshake took too long" in await end.talk([predict()], then_fin=False)
    await model.stop()


async def test_a_client_without_tls_is_let_go(trust: Trust) -> None:
    async with tls_both(trust, always(answer())) as end:
        assert await end.talk([predict()], then_fin=False) == b""
        assert "http request" in end.log.getvalue()
        assert (end.counts.tls_refused, end.counts.connections_total) == (1, 0)


async def test_a_client_that_leaves_in_the_handshake_is_forgotten(trust: Trust) -> None:
    async with tls_both(trust, always(answer())) as end:
        assert await end.talk([b"\x16\x03\x01"]) == b""
        assert (end.counts.tls_refused, end.counts.connections_total) == (1, 0)


async def test_tls_to_a_plain_listener_passes_as_it_is(trust: Trust) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.read(3))[:2] == b"\x16\x03"
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with relay_running(serve) as end:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await end.connect(trust.authority.client())
        await asyncio.wait_for(end.server._relay.all_closed(), 5)
        assert end.counts.uncaptured["unreadable"] == 1
