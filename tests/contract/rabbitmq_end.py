"""The machine's own RabbitMQ, with an exchange and a queue for one test, and a line to it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import aiormq
import pytest
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldValue
from support.line import line_to

from contract.broker_end import LARGEST_BYTES, LinedEnd
from contract.end import REFERENCE, Case

PORT = 5672


class RabbitMQEnd(LinedEnd):
    kind = "rabbitmq"
    can_tell_repeats = False
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.REFUSING_ONE: "an exchange looks at no message: what it refuses of one key it refuses of all"
    }

    async def start(self) -> None:
        self.secret = "guest"
        self._running = AsyncExitStack()
        try:
            self._admin = await aiormq.connect(f"amqp://guest:guest@127.0.0.1:{PORT}/")
        except OSError as error:
            pytest.skip(f"RabbitMQ is not running on 127.0.0.1:{PORT}: {error}")
        self._running.push_async_callback(self._admin.close)
        self.line = await self._running.enter_async_context(line_to(PORT))
        self._channel = await self._admin.channel()
        self._name = f"test-{secrets.token_hex(8)}"
        self._stored: list[str] = []
        await self._declare()
        await self._channel.queue_declare(self._name)
        await self._bind()

    async def stop(self) -> None:
        for queue in (self._name, self._full):
            await self._channel.queue_delete(queue)
        await self._channel.exchange_delete(self._name)
        await self._running.aclose()

    def options(self) -> Mapping[str, Any]:
        return {
            "url": f"amqp://127.0.0.1:{self.line.port}/",
            "exchange": self._name,
            "routing_key": "kept.{caller}.{model}",
            "user": "guest",
            "password": REFERENCE,
            "max_message_bytes": LARGEST_BYTES,
        }

    async def stored(self) -> list[str]:
        while (message := await self.next_message()).body:
            properties = message.header.properties
            assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
            self._stored.append(str(properties.message_id))
        return list(self._stored)

    async def next_message(self) -> DeliveredMessage:
        """One that is stored, taken away; without a body when there is none."""
        return await self._channel.basic_get(self._name, no_ack=True)

    @asynccontextmanager
    async def throttling(self) -> AsyncIterator[None]:
        limits: dict[str, FieldValue] = {"x-max-length": 0, "x-overflow": "reject-publish"}
        await self._channel.queue_declare(self._full, arguments=limits)
        await self._channel.queue_bind(self._full, self._name, "#")
        yield
        await self._channel.queue_delete(self._full)

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        await self._channel.queue_unbind(self._name, self._name, "kept.#")
        yield
        await self._bind()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        await self._channel.exchange_delete(self._name)
        await self._declare(internal=True)
        yield

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        self.line.cut_at(b"input-id")
        yield
        await self.line.open()

    @property
    def _full(self) -> str:
        return f"{self._name}-full"

    async def _declare(self, *, internal: bool = False) -> None:
        await self._channel.exchange_declare(self._name, exchange_type="topic", internal=internal)

    async def _bind(self) -> None:
        await self._channel.queue_bind(self._name, self._name, "kept.#")
