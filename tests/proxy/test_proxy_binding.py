"""Where several relays listen: one address, and a place for each."""

from __future__ import annotations

import contextlib
import selectors
import socket
from pathlib import Path

import pytest
from support.relay_end import always, answer, predict, relay_running

from sidecar.errors import ConfigurationError
from sidecar.kit.addresses import Address
from sidecar.proxy.binding import Places, bind_places

LOOPBACK = Address("127.0.0.1", 0)
CLIENTS = 100


def _spread(places: Places) -> list[int]:
    """How many of `CLIENTS` each place may accept."""
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as clients:
        for number, (sock,) in enumerate(places.sockets):
            sock.listen(CLIENTS)
            selector.register(sock, selectors.EVENT_READ, number)
        found = [0] * len(places.sockets)
        for _ in range(CLIENTS):
            clients.enter_context(socket.create_connection((places.address.host, places.address.port), 5))
            [(key, _)] = selector.select(5)
            accepted, _ = places.sockets[key.data][0].accept()
            accepted.close()
            found[key.data] += 1
    return found


def test_the_system_spreads_clients_over_all_places() -> None:
    with contextlib.closing(bind_places(LOOPBACK, 3)) as places:
        assert not places.is_shared
        assert places.address.port
        assert min(_spread(places)) > CLIENTS / 10


def test_one_place_has_its_port_alone() -> None:
    with contextlib.closing(bind_places(LOOPBACK, 1)) as places:
        places.sockets[0][0].listen()
        for relays in (1, 2):
            with pytest.raises(ConfigurationError, match=r"--listen: cannot listen at 127\.0\.0\.1"):
                bind_places(places.address, relays)


def test_another_sidecar_does_not_come_to_share_the_port_unnoticed() -> None:
    with contextlib.closing(bind_places(LOOPBACK, 2)) as places:
        places.sockets[1][0].listen()
        for relays in (1, 2):
            with pytest.raises(ConfigurationError, match="--listen"):
                bind_places(places.address, relays)


BOTH = [
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
]


def test_every_address_of_a_host_is_on_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: BOTH)  # what a host with both families is told
    with contextlib.closing(bind_places(Address("localhost", 0), 2)) as places:
        found = [(each.family, each.getsockname()[1]) for sockets in places.sockets for each in sockets]
        assert found == [(family, places.address.port) for family in (socket.AF_INET, socket.AF_INET6)] * 2


def test_relays_on_a_unix_socket_share_it(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "in.sock"))
    with contextlib.closing(bind_places(address, 2)) as places:
        assert places.is_shared
        (first,), (second,) = places.sockets
        first.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address.path)
            second.setblocking(True)
            second.settimeout(5)
            second.accept()[0].close()


async def test_a_relay_serves_at_the_sockets_of_another_until_that_one_is_back() -> None:
    with contextlib.closing(bind_places(LOOPBACK, 1)) as places:
        (socket_of_another,) = places.sockets[0]
        socket_of_another.listen()
        async with relay_running(always(answer())) as end:
            there = end.server.address
            end.server.address = places.address
            waiting, writer = await end.connect()  # to the one that is gone: accepted by nobody yet
            writer.write(predict())
            end.server.adopt(places.sockets[0])
            end.server.adopt(places.sockets[0])
            assert await waiting.readexactly(len(answer())) == answer()
            assert await end.talk([predict()]) == answer()
            end.server.let_go(places.sockets[0])
            end.server.address = there
            while end.server._listener is not None and len(end.server._listener._sites) > 1:
                assert await end.talk([predict()]) == answer()
            end.server.address = places.address
            _, second = await end.connect()
            socket_of_another.setblocking(True)
            socket_of_another.settimeout(5)
            socket_of_another.accept()[0].close()
            writer.close()
            second.close()


async def test_what_was_adopted_is_refused_once_the_relay_accepts_no_more() -> None:
    with contextlib.closing(bind_places(LOOPBACK, 1)) as places:
        async with relay_running(always(answer())) as end:
            places.sockets[0][0].listen()
            end.server.adopt(places.sockets[0])
            end.server.address = places.address
            assert await end.talk([predict()]) == answer()
            await end.server.drain()
            with pytest.raises(ConnectionRefusedError):
                await end.connect()
            end.server.adopt(places.sockets[0])


def test_a_unix_socket_that_is_served_is_left_alone_and_one_left_behind_is_taken(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "in.sock"))
    with contextlib.closing(bind_places(address, 1)) as places:
        places.sockets[0][0].listen(1)
        with contextlib.ExitStack() as waiting:
            for _ in range(4):
                with pytest.raises(ConfigurationError, match=r"--listen: .*in use"):
                    bind_places(address, 1)
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.connect(address.path)
    bind_places(address, 1).close()
