"""gRPC over HTTP/2 prior knowledge, by a real client and a real server: it passes, unread and counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from support.relay_end import RelayEnd, relay_running

from sidecar.settings import Address

LARGE = 8 << 20
OPTIONS = [("grpc.max_send_message_length", 2 * LARGE), ("grpc.max_receive_message_length", 2 * LARGE)]
Work = Callable[[grpc.Channel], None]


class Model:
    """Messages are bytes: what is on the wire is gRPC's own all the same."""

    def __init__(self) -> None:
        self.was_cancelled = threading.Event()

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata([("asked-with", dict(context.invocation_metadata())["asked-with"])])
        context.set_trailing_metadata([("length-bin", len(request).to_bytes(4))])
        return request

    def refuse(self, _: bytes, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "kein Platz: ü")

    def hang(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.was_cancelled.set)
        self.was_cancelled.wait()
        return b""

    def count(self, request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(int(request)):
            yield number.to_bytes(4) * 1000

    def reverse(self, requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield request[::-1]

    def handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "test.Model",
            {
                "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
                "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
                "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
                "Count": grpc.unary_stream_rpc_method_handler(self.count),
                "Reverse": grpc.stream_stream_rpc_method_handler(self.reverse),
            },
        )


@contextlib.asynccontextmanager
async def relayed(model: Model) -> AsyncIterator[RelayEnd]:
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, options=OPTIONS)
        server.add_generic_rpc_handlers([model.handlers()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            async with relay_running(None, upstream=Address("127.0.0.1", port)) as end:
                yield end
        finally:
            await asyncio.to_thread(server.stop(None).wait)


async def call(work: Work, model: Model | None = None) -> None:
    """`work` in a thread, as the client blocks; then what was counted."""
    async with relayed(model or Model()) as end:

        def run() -> None:
            with grpc.insecure_channel(f"127.0.0.1:{end.server.address.port}", options=OPTIONS) as channel:
                work(channel)

        await asyncio.to_thread(run)
        counts = end.counts
        assert counts.connections_total == counts.uncaptured["http2"] == 1
        assert (counts.seen, end.engine.exchanges) == (0, [])


@pytest.mark.parametrize("message", [b"", b"small", os.urandom(LARGE)], ids=["none", "small", "large"])
async def test_a_unary_call_comes_back_with_its_metadata(message: bytes) -> None:
    def work(channel: grpc.Channel) -> None:
        answer, said = channel.unary_unary("/test.Model/Echo").with_call(message, metadata=[("asked-with", "a-value")])
        assert answer == message
        assert ("asked-with", "a-value") in [tuple(pair) for pair in said.initial_metadata()]
        assert ("length-bin", len(message).to_bytes(4)) in [tuple(pair) for pair in said.trailing_metadata()]

    await call(work)


async def test_an_error_comes_back_as_it_was_said() -> None:
    def work(channel: grpc.Channel) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Model/Refuse")(b"")
        failed: Any = caught.value
        assert (failed.code(), failed.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "kein Platz: ü")

    await call(work)


async def test_a_stream_of_answers_arrives_whole_and_in_order() -> None:
    def work(channel: grpc.Channel) -> None:
        answers = list(channel.unary_stream("/test.Model/Count")(b"2000"))
        assert answers == [number.to_bytes(4) * 1000 for number in range(2000)]

    await call(work)


async def test_in_a_bidirectional_stream_each_answer_comes_before_the_next_question_is_asked() -> None:
    def work(channel: grpc.Channel) -> None:
        questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        answers = channel.stream_stream("/test.Model/Reverse")(iter(questions.get, None))
        for number in range(50):
            question = b"question %d" % number
            questions.put(question)
            assert next(answers) == question[::-1]
        questions.put(None)
        assert list(answers) == []

    await call(work)


async def test_a_deadline_ends_the_call_on_both_sides() -> None:
    model = Model()

    def work(channel: grpc.Channel) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Model/Hang")(b"", timeout=0.1)
        failed: Any = caught.value
        assert failed.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert model.was_cancelled.wait(10)

    await call(work, model)


async def test_many_calls_share_one_connection() -> None:
    def work(channel: grpc.Channel) -> None:
        echo = channel.unary_unary("/test.Model/Echo")
        messages = [number.to_bytes(4) * 10_000 for number in range(50)]
        pending = [echo.future(message, metadata=[("asked-with", "")]) for message in messages]
        assert [each.result() for each in pending] == messages

    await call(work)
