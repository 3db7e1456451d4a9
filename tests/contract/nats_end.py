"""A real NATS server with JetStream, and a line to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import nats
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig
from support.line import line_to
from support.nats_server import nats_server

from contract.broker_end import LARGEST_BYTES, LinedEnd
from contract.end import REFERENCE, Case

PASSWORD = "a-very-secret-password"
STREAM = "KEPT"


class NatsEnd(LinedEnd):
    kind = "nats"
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.REFUSING_ONE: "a stream looks at a message's size alone, which has a case of its own"
    }

    async def start(self) -> None:
        self.secret = PASSWORD
        self._running = AsyncExitStack()
        accounts = f"""authorization {{ users: [
            {{user: admin, password: admin}}
            {{user: me, password: {PASSWORD}}}
            {{user: reader, password: {PASSWORD}, permissions: {{publish: {{deny: "kept.>"}}}}}}
        ] }}"""
        self.server = await self._running.enter_async_context(nats_server(self.folder, accounts))
        self.line = await self._running.enter_async_context(line_to(self.server.port))
        client = await nats.connect(f"nats://127.0.0.1:{self.server.port}", user="admin", password="admin")
        self._running.push_async_callback(client.close)
        self.streams: JetStreamContext = client.jetstream()
        await self.streams.add_stream(stream())

    async def stop(self) -> None:
        await self._running.aclose()

    def options(self) -> Mapping[str, Any]:
        return {
            "servers": [f"nats://127.0.0.1:{self.line.port}"],
            "subject": "kept.{caller}.{model}",
            "user": "me",
            "password": REFERENCE,
        }

    async def stored(self) -> list[str]:
        info = await self.streams.stream_info(STREAM)
        numbers = range(info.state.first_seq, info.state.last_seq + 1) if info.state.messages else ()
        messages = [await self.streams.get_msg(STREAM, number) for number in numbers]
        assert {message.subject for message in messages} <= {"kept.alice.digits"}
        return [(message.headers or {})["Nats-Msg-Id"] for message in messages]

    @asynccontextmanager
    async def throttling(self) -> AsyncIterator[None]:
        await self.streams.update_stream(stream(max_bytes=1, discard=DiscardPolicy.NEW))
        yield
        await self.streams.update_stream(stream())

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        await self.streams.delete_stream(STREAM)
        yield
        await self.streams.add_stream(stream())

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        await self.streams.update_stream(stream(sealed=True))
        yield

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        self.line.cut_at(b"HPUB")
        yield
        await self.line.open()


def stream(**more: Any) -> StreamConfig:
    return StreamConfig(name=STREAM, subjects=["kept.>"], max_msg_size=LARGEST_BYTES, **more)
