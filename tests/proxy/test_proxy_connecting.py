"""Where the model is: addresses of either family, names, and what becomes of them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from support.clock import FakeClock
from support.relay_end import Model, RelayEnd, always, answer, predict, relay_running

from sidecar.kit.tasks import Tasks
from sidecar.proxy.connecting import FRESH_SECONDS, USABLE_SECONDS, Resolved
from sidecar.settings import Address

V4, V6 = "127.0.0.1", "::1"
NAME = "model.example"


def _info(host: str, port: int) -> tuple[Any, ...]:
    [info] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return info


class Names:
    """The loop's resolver, which knows one name, as that of `hosts`, and answers when it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.hosts: list[str] = [V4]
        self.may_answer = asyncio.Event()
        self.may_answer.set()

        async def getaddrinfo(loop: object, host: str, port: int, **how: object) -> list[tuple[Any, ...]]:
            if host != NAME:  # the loop itself asks for addresses that are numbers already
                return [_info(host, port)]
            self.asked += 1
            await self.may_answer.wait()
            if not self.hosts:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [_info(each, port) for each in self.hosts]

        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)


class Asking:
    """Asks for a host with a clock that is turned by hand."""

    def __init__(self, host: str) -> None:
        self.clock = FakeClock()
        self.tasks = Tasks(lambda name, error: None)
        self.resolved = Resolved(host, 80, self.tasks, self.clock)

    async def hosts(self) -> list[str]:
        return [str(info[4][0]) for info in await asyncio.wait_for(self.resolved.addresses(), 5)]


async def test_an_address_is_asked_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    names, asking = Names(monkeypatch), Asking(V6)
    for _ in range(2):
        assert await asking.hosts() == [V6]
        asking.clock.advance(2 * USABLE_SECONDS)
        asking.resolved.doubt()
    assert names.asked == 0


async def test_a_name_is_asked_for_once_by_all_who_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names, asking = Names(monkeypatch), Asking(NAME)
    names.may_answer.clear()
    waiting = [asyncio.create_task(asking.hosts()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who asked first leaves: the others still hear
    names.may_answer.set()
    assert await asyncio.gather(*waiting[1:]) == [[V4]] * 4
    assert names.asked == 1


async def test_nobody_waits_for_a_resolver_while_an_older_answer_is_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    names, asking = Names(monkeypatch), Asking(NAME)
    await asking.hosts()
    asking.clock.advance(FRESH_SECONDS / 2)
    await asking.hosts()
    assert names.asked == 1
    asking.clock.advance(FRESH_SECONDS)
    names.hosts = [V6]
    names.may_answer.clear()
    assert await asking.hosts() == [V4]
    names.may_answer.set()
    await asking.tasks.drained()
    assert (await asking.hosts(), names.asked) == ([V6], 2)


async def test_an_answer_serves_on_when_there_is_no_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names, asking = Names(monkeypatch), Asking(NAME)
    await asking.hosts()
    names.hosts = []
    asking.clock.advance(USABLE_SECONDS)
    assert await asking.hosts() == [V4]
    assert names.asked == 2


async def test_a_name_that_could_not_be_reached_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    names, asking = Names(monkeypatch), Asking(NAME)
    await asking.hosts()
    names.hosts = [V6]
    asking.resolved.doubt()
    assert await asking.hosts() == [V6]


async def test_a_name_that_nobody_knows_is_said_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.hosts = []
    async with relay_running(None, upstream=Address(NAME, 80)) as end:
        said = await end.talk([predict()], then_fin=False)
        assert b"the model server at model.example:80 cannot be reached" in said
        assert b"Name or service not known" in said


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "two words", "-"])
async def test_a_name_that_no_resolver_takes_is_said_as_well(name: str) -> None:
    async with relay_running(None, upstream=Address(name, 80)) as end:
        assert (await end.talk([predict()], then_fin=False)).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("heard", [V4, V6])
async def test_of_several_addresses_the_one_that_answers_is_taken(heard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.hosts = [V6, V4]
    model = Model(always(answer()))
    port = (await model.start(host=heard)).port
    async with relay_running(None, upstream=Address(NAME, port)) as end:
        for _ in range(2):
            assert await end.talk([predict()]) == answer()
        first, *_ = await end.server._connector._resolved.addresses()
        assert first[4][0] == heard
        reader, writer = await end.connect()
        writer.write(predict())
        await reader.readexactly(len(answer()))
        [connection] = end.server._relay.connections
        assert connection.upstream is not None
        own = connection.upstream.transport.get_extra_info("socket")
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        assert names.asked == 1
    await model.stop()


async def test_when_no_address_answers_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.hosts = [V6, V4]
    async with relay_running(None) as down:
        port = down.server._connector.upstream.port
        async with relay_running(None, upstream=Address(NAME, port)) as end:
            assert b"cannot be reached" in await end.talk([predict()], then_fin=False)
            names.hosts = []
            assert b"cannot be reached" in await end.talk([predict()], then_fin=False)
            assert names.asked == 2


async def _is_served(end: RelayEnd, host: str) -> bool:
    reader, writer = await asyncio.open_connection(host, end.server.address.port)
    writer.write(predict())
    try:
        return await asyncio.wait_for(reader.readexactly(len(answer())), 5) == answer()
    finally:
        writer.close()


@pytest.mark.parametrize(("listened", "served"), [(V6, [V6]), ("::", [V6, V4]), ("0.0.0.0", [V4]), ("localhost", [V4])])
async def test_clients_come_in_over_either_family(listened: str, served: list[str]) -> None:
    async with relay_running(always(answer()), listen=Address(listened, 0)) as end:
        for host in (V4, V6):
            if host in served:
                assert await _is_served(end, host)
            elif listened != "localhost":  # which may have ::1 as well
                with pytest.raises(OSError, match=r"Connect call failed|refused"):
                    await _is_served(end, host)


async def test_the_model_may_be_on_ipv6() -> None:
    async with relay_running(always(answer()), model_host=V6, listen=Address(V6, 0)) as end:
        assert str(end.server._connector.upstream).startswith("[::1]:")
        assert await end.talk([predict()]) == answer()
        [exchange] = await end.engine.arrived(1)
        assert exchange.response_is_whole


async def test_a_name_is_listened_at_where_this_machine_has_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` often means ::1 too where IPv6 is off; here another address that is not ours stands for it."""
    resolve = socket.getaddrinfo

    def both(host: str, *how: Any, **more: Any) -> list[Any]:
        foreign = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))
        return [foreign, _info(V4, 0)] if host == "localhost" else resolve(host, *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", both)
    async with relay_running(always(answer()), listen=Address("localhost", 0)) as end:
        assert await _is_served(end, V4)
