"""A capture that breaks at any point changes nothing for the traffic, and is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from support.relay_end import RelayEnd, Serve, answer, predict, read_request, relay_running

from sidecar.events import Events
from sidecar.proxy import admit, http1, known, link, messages, quick, tap

CALLS = [
    (http1.Reader, "request_fin"),
    (http1.Reader, "response_fin"),
    (http1.Reader, "close"),
    (messages.MessageStream, "feed"),
    (admit.Admission, "fraction"),
    (tap.Tap, "begin"),
    (tap.TappedExchange, "_keep"),
    (tap.TappedExchange, "request_piece"),
    (tap.TappedExchange, "response_began"),
    (tap.TappedExchange, "response_piece"),
    (tap.TappedExchange, "finish"),
    (link.Link, "send"),
    (known.KnownHeads, "request"),
    (known.KnownHeads, "response"),
    (quick.QuickWatch, "_copy"),
    (quick.QuickWatch, "_finish"),
    (quick.QuickWatch, "_hand_over"),
    (http1.Reader, "adopt"),
    (tap.Tap, "adopt"),
]
CHUNKED = b"POST /v1/models/m:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


def _serve_some_then_end() -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await read_request(reader)
            writer.write(answer(b"usual"))
        await read_request(reader)
        writer.write(answer(b"first"))
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nto the ")
        await writer.drain()
        writer.write(b"end")

    return serve


async def _conversation(end: RelayEnd) -> None:
    """Exchanges on one connection: two usual ones, counted in pieces, chunked, ended by FIN."""
    reader, writer = await end.connect()
    for _ in range(2):
        writer.write(predict(b"usual"))
        assert await reader.readexactly(len(answer(b"usual"))) == answer(b"usual")
    whole = predict(b"x" * 100)
    writer.write(whole[:-50])
    await asyncio.sleep(0)
    writer.write(whole[-50:])
    assert await reader.readexactly(len(answer(b"first"))) == answer(b"first")
    writer.write(CHUNKED)
    chunked = await reader.readuntil(b"0\r\n\r\n")
    assert chunked == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    writer.write(predict(b"last"))
    writer.write_eof()
    assert await reader.read(-1) == b"HTTP/1.1 200 OK\r\n\r\nto the end"
    writer.close()


class Bomb:
    """Replaces a method: raises at the `at`-th call, before or after doing the work."""

    def __init__(self, method: Callable[..., object], at: int, error: BaseException) -> None:
        self.calls = 0
        self._method = method
        self._at = at
        self._error = error

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            self.calls += 1
            if self.calls == self._at:
                raise self._error
            return self._method(instance, *args, **kwargs)

        return call


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize(("owner", "name"), CALLS, ids=lambda part: part if isinstance(part, str) else part.__name__)
async def test_a_fault_at_any_call_changes_nothing_and_is_counted(
    owner: type, name: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = Bomb(getattr(owner, name), at, RuntimeError("a fault of ours"))
    monkeypatch.setattr(owner, name, bomb)
    async with relay_running(_serve_some_then_end()) as end:
        await _conversation(end)
        await end.server.stop()
        await end.link.flushed()
        end.check_counts()
        assert end.counts.uncaptured["capture_failed"] == (1 if bomb.calls >= at else 0)
        assert end.counts.seen == end.counts.taken + sum(end.counts.lost.values())


async def test_running_out_of_memory_while_copying_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap.TappedExchange, "request_piece", Bomb(tap.TappedExchange.request_piece, 1, MemoryError()))
    async with relay_running(_serve_some_then_end()) as end:
        await _conversation(end)
        assert end.counts.lost["capture_failed"] == 1


async def test_a_log_that_cannot_be_written_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Events, "capture_failed", broken)
    monkeypatch.setattr(Events, "connection_uncaptured", broken)
    monkeypatch.setattr(link.Link, "send", broken)
    async with relay_running(_serve_some_then_end()) as end:
        await _conversation(end)
        assert end.counts.lost["capture_failed"] == 1


async def test_a_fault_met_by_every_connection_is_counted_each_time_and_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(tap.Tap, "begin", broken)
    async with relay_running(_serve_some_then_end()) as end:
        await _conversation(end)
        await _conversation(end)
        assert end.counts.uncaptured["capture_failed"] == 2
        assert end.log.getvalue().count("capture failed, traffic goes on") == 1
