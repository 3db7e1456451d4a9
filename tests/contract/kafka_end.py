"""librdkafka's mock cluster; for a password, which it does not know, a listener that accepts none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, ClassVar

from confluent_kafka import KafkaError
from support.kafka_cluster import TOPIC, header_of, kafka_cluster
from support.kafka_gate import kafka_gate

from contract.broker_end import LARGEST_BYTES, BrokerEnd
from contract.end import REFERENCE, Case

_OFTEN = 100
_LONG_SECONDS = 60.0


class KafkaEnd(BrokerEnd):
    kind = "kafka"
    can_tell_repeats = False
    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.8}
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.THROTTLING: "a broker answers those later who are over their quota, and refuses nothing"
    }

    async def start(self) -> None:
        self._running = ExitStack()
        self.cluster = self._running.enter_context(kafka_cluster())
        self._options: dict[str, Any] = {
            "brokers": [self.cluster.address],
            "topic": TOPIC,
            "max_message_bytes": LARGEST_BYTES,
        }

    async def stop(self) -> None:
        await asyncio.to_thread(self._running.close)

    def options(self) -> Mapping[str, Any]:
        return self._options

    async def stored(self) -> list[str]:
        messages = await asyncio.to_thread(self.cluster.messages)
        assert {message.key() for message in messages} <= {b"alice/digits"}
        return [header_of(message, "input-id") for message in messages]

    @asynccontextmanager
    async def refusing_one(self, input_id: str) -> AsyncIterator[None]:
        """All three at once, and then the second by itself."""
        self.cluster.answer(KafkaError.INVALID_RECORD, 0, KafkaError.INVALID_RECORD)
        yield
        self.cluster.answer_as_before()

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.cluster.go()
        yield
        self.cluster.come_back()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        self.cluster.answer(*(_OFTEN * [KafkaError.TOPIC_AUTHORIZATION_FAILED]))
        yield

    @asynccontextmanager
    async def locked_out(self) -> AsyncIterator[None]:
        self.secret = "a-very-secret-password"
        async with kafka_gate() as address:
            self._options |= {"brokers": [address], "user": "me", "password": REFERENCE}
            yield

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        self.cluster.answer_after(_LONG_SECONDS)
        yield
        self.cluster.answer_after(0)

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        self.cluster.answer(*(_OFTEN * [KafkaError._TRANSPORT]))
        yield
        self.cluster.answer_as_before()
