"""Byte equality on real sockets: whatever is said, valid or not, arrives as it was said, and the sums hold.

What is captured is what h11 says was exchanged. `CONVERSATIONS=20000 pytest -o timeout=0 <this file>` tries as many.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.conversations import (
    OFFER,
    Turn,
    conversations,
    ended_conversations,
    head_of,
    read_by_h11,
    read_streams_by_h11,
    split,
)
from support.mutations import mutated
from support.relay_end import RelayEnd, relay_running
from support.talking import Line, Script, Stage

from sidecar.exchange import Exchange, Message, read_head
from sidecar.protocol.routes import recognise

T = TypeVar("T")
NewLoop = Callable[[], asyncio.AbstractEventLoop]
on_both_loops = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
some = settings(
    max_examples=int(os.environ.get("CONVERSATIONS", "60")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Theatre:
    """A relay that stays up for many conversations."""

    def __init__(self, runner: asyncio.Runner, stage: Stage, end: RelayEnd) -> None:
        self._runner = runner
        self._stage = stage
        self._end = end

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def plays(self, script: Script) -> tuple[list[Exchange], dict[str, int]]:
        """Play it to its end: what was captured of it, and what was counted. Nothing may have been touched."""
        return self.run(self._play(script))

    async def _play(self, script: Script) -> tuple[list[Exchange], dict[str, int]]:
        end = self._end
        before = end.counts.as_dict()
        end.engine.exchanges.clear()
        by_model, by_client = await self._stage.play(end, script)
        assert by_model == script.requests
        assert by_client == script.responses
        await end.server._relay.all_closed()
        await end.link.flushed()
        end.check_counts()
        after = end.counts.as_dict()
        return list(end.engine.exchanges), {name: after[name] - before[name] for name in after}


@contextlib.contextmanager
def theatre(new_loop: NewLoop) -> Iterator[Theatre]:
    stage = Stage()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        running = relay_running(stage.serve)
        end = runner.run(running.__aenter__())
        try:
            yield Theatre(runner, stage, end)
        finally:
            runner.run(running.__aexit__(None, None, None))


@st.composite
def _scripts(draw: st.DrawFn, conversation: Sequence[Turn]) -> Script:
    """Each turn may be pipelined, may wait for `100 Continue`, may be answered before its request is whole."""
    script = Script(client_ends_first=draw(st.booleans()) and not conversation[-1].ends_with_fin)
    sent = told = waits_for = 0
    for turn in conversation:
        head = len(head_of(turn.request))
        waits_for = told if draw(st.booleans()) else waits_for
        cut = head if turn.interim and draw(st.booleans()) else len(turn.request)
        script.client.append(Line(waits_for, draw(split(turn.request[:cut]))))
        script.model.append(Line(sent + min(cut, draw(st.sampled_from([head, len(turn.request)]))), [turn.interim]))
        if cut < len(turn.request):
            waits_for = told + len(turn.interim)
            script.client.append(Line(waits_for, draw(split(turn.request[cut:]))))
        answered_at = sent + draw(st.sampled_from([head, len(turn.request), len(turn.request)]))
        script.model.append(Line(answered_at, draw(split(turn.response))))
        sent, told = sent + len(turn.request), told + len(turn.interim) + len(turn.response)
    return script


def _wanted(turn: Turn) -> bool:
    return turn.request.startswith(b"POST ")


def _told(exchange: Exchange) -> tuple[bytes, bytes, bytes, bytes]:
    response = exchange.response or Message(b"", b"")
    return exchange.request.head, exchange.request.body, response.head, response.body


def _expected(conversation: Sequence[Turn]) -> list[tuple[bytes, bytes, bytes, bytes]]:
    return [
        (head_of(turn.request), heard.request_body, head_of(turn.response), heard.response_body)
        for turn, heard in zip(conversation, read_by_h11(conversation), strict=True)
        if _wanted(turn)
    ]


def _let_go(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count and name.startswith(("uncaptured.", "lost."))}


@on_both_loops
def test_valid_conversations_pass_unchanged_and_arrive_as_h11_reads_them(new_loop: NewLoop) -> None:
    with theatre(new_loop) as stage:

        @some
        @given(st.data())
        def examples(data: st.DataObject) -> None:
            conversation = data.draw(st.one_of(conversations, ended_conversations))
            exchanges, counts = stage.plays(data.draw(_scripts(conversation)))
            assert not _let_go(counts)
            assert [_told(exchange) for exchange in exchanges] == _expected(conversation)
            assert all(exchange.response_is_whole for exchange in exchanges)
            assert counts["seen"] == len(conversation)
            assert counts["unwanted"] == len(conversation) - len(exchanges)

        examples()


@on_both_loops
def test_after_an_upgrade_that_is_taken_anything_passes_and_is_counted(new_loop: NewLoop) -> None:
    asked = b"POST /v2/models/a/infer HTTP/1.1\r\nHost: a\r\n" + OFFER + b"Content-Length: 3\r\n\r\nabc"
    taken = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"

    with theatre(new_loop) as stage:

        @some
        @given(st.data())
        def examples(data: st.DataObject) -> None:
            conversation = data.draw(st.lists(conversations.map(lambda some: some[0]), max_size=2))
            script = data.draw(_scripts(conversation)) if conversation else Script()
            sent, told = len(script.requests), len(script.responses)
            script.client_ends_first = data.draw(st.booleans())
            script.client.append(Line(told, data.draw(split(asked))))
            script.model.append(Line(sent + len(asked), data.draw(split(taken + data.draw(st.binary(max_size=50))))))
            script.client.append(Line(told + len(taken), data.draw(split(data.draw(st.binary(max_size=50))))))
            exchanges, counts = stage.plays(script)
            assert [_told(exchange) for exchange in exchanges] == _expected(conversation)
            assert (counts["uncaptured.upgraded"], counts["lost.upgraded"]) == (1, 1)

        examples()


def _agrees_with_h11(script: Script, exchanges: Sequence[Exchange], counts: dict[str, int]) -> None:
    """What both could read, both read alike; what ours could not is counted."""
    reading = read_streams_by_h11(script.requests, script.responses)
    by_h11 = [
        (heard.target, heard.request_body, heard.status, heard.response_body)
        for method, heard in zip(reading.methods, reading.heard, strict=True)
        if recognise(method, heard.target)
    ]
    ours = [
        (
            read_head(exchange.request.head).target.encode("latin-1"),
            exchange.request.body,
            read_head(exchange.response.head).status,
            exchange.response.body,
        )
        for exchange in exchanges
        if exchange.response is not None and exchange.response_is_whole
    ]
    both = min(len(by_h11), len(ours))
    assert ours[:both] == by_h11[:both]
    assert _let_go(counts) or len(ours) >= len(by_h11)
    assert reading.has_failed or len(ours) <= len(by_h11)


@on_both_loops
def test_what_is_nearly_valid_passes_unchanged_and_is_never_read_in_another_way(new_loop: NewLoop) -> None:
    with theatre(new_loop) as stage:

        @some
        @given(st.data())
        def examples(data: st.DataObject) -> None:
            conversation = data.draw(conversations)
            requests = b"".join(turn.request for turn in conversation)
            responses = b"".join(turn.interim + turn.response for turn in conversation)
            broken = data.draw(st.sampled_from(["requests", "responses", "both"]))
            requests = requests if broken == "responses" else data.draw(mutated(requests))
            responses = responses if broken == "requests" else data.draw(mutated(responses))
            script = Script(
                [Line(0, data.draw(split(requests)))],
                [Line(len(requests), data.draw(split(responses)))],
                client_ends_first=data.draw(st.booleans()),
            )
            _agrees_with_h11(script, *stage.plays(script))

        examples()


@on_both_loops
def test_garbage_passes_unchanged(new_loop: NewLoop) -> None:
    broken = st.one_of(
        st.binary(min_size=1, max_size=300),
        st.sampled_from(
            [b"POST /v2/models/a/infer HTTP/1.1\r\nContent-Length: 9999\r\n\r\nshort", b"HTTP/1.1 200 OK\r\n"]
        ),
        conversations.map(lambda turns: b"".join(turn.response + turn.request for turn in turns)),
    )
    with theatre(new_loop) as stage:

        @some
        @given(st.data())
        def examples(data: st.DataObject) -> None:
            sent, said = data.draw(split(data.draw(broken))), data.draw(split(data.draw(broken)))
            after = data.draw(st.sampled_from([0, len(b"".join(sent))]))
            stage.plays(Script([Line(0, sent)], [Line(after, said)], client_ends_first=data.draw(st.booleans())))

        examples()
