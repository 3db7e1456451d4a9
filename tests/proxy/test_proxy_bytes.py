"""Byte equality on real sockets: whatever is said, valid or not, arrives as it was said, and the sums hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.conversations import conversations, read_by_h11, split
from support.relay_end import RelayEnd, relay_running


class Script:
    """A model that says `pieces` once it has heard `expected` bytes, and keeps what it heard."""

    def __init__(self) -> None:
        self.expected = 0
        self.pieces: list[bytes] = []
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = await reader.readexactly(self.expected)
        for piece in self.pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.write_eof()
        self.heard += await reader.read(-1)


async def _say(end: RelayEnd, script: Script, sent: list[bytes], said: list[bytes]) -> None:
    script.expected, script.pieces = len(b"".join(sent)), said
    assert await end.talk(sent, then_fin=False) == b"".join(said)
    assert script.heard == b"".join(sent)
    end.check_counts()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_valid_conversations_pass_unchanged_and_arrive_as_h11_reads_them(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    script = Script()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        running = relay_running(script.serve)
        end = runner.run(running.__aenter__())

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.data())
        def examples(data: st.DataObject) -> None:
            conversation = data.draw(conversations)
            sent = data.draw(split(b"".join(turn.request for turn in conversation)))
            said = data.draw(split(b"".join(turn.interim + turn.response for turn in conversation)))
            end.engine.exchanges.clear()
            runner.run(_say(end, script, sent, said))
            expected = [
                heard
                for heard, turn in zip(read_by_h11(conversation), conversation, strict=True)
                if turn.request.startswith(b"POST")
            ]
            arrived = runner.run(end.engine.arrived(len(expected)))
            bodies = [(exchange.request.body, exchange.response and exchange.response.body) for exchange in arrived]
            assert bodies == [(heard.request_body, heard.response_body) for heard in expected]
            assert all(exchange.response_is_whole for exchange in arrived)

        examples()
        runner.run(running.__aexit__(None, None, None))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_garbage_passes_unchanged(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    script = Script()
    broken = st.one_of(
        st.binary(min_size=1, max_size=300),
        st.sampled_from(
            [b"POST /v2/models/a/infer HTTP/1.1\r\nContent-Length: 9999\r\n\r\nshort", b"HTTP/1.1 200 OK\r\n"]
        ),
        conversations.map(lambda turns: b"".join(turn.response + turn.request for turn in turns)),
    )
    with asyncio.Runner(loop_factory=new_loop) as runner:
        running = relay_running(script.serve)
        end = runner.run(running.__aenter__())

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.data())
        def examples(data: st.DataObject) -> None:
            sent, said = data.draw(split(data.draw(broken))), data.draw(split(data.draw(broken)))
            runner.run(_say(end, script, sent, said))

        examples()
        runner.run(running.__aexit__(None, None, None))
