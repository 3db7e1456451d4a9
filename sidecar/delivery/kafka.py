"""Publish inputs to a topic of Kafka: its options, and the thread in which the client waits.

What talks to the brokers is `kafka_producer`.

The topic must be there, unless the brokers make it themselves. The key of a message is the same for all calls of one
caller to one model, so that these stay in one partition.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sidecar.delivery.broker import BrokerOptions, Doubt, check_some
from sidecar.delivery.destination import Parcel
from sidecar.delivery.message import Message, to_messages
from sidecar.delivery.outcome import Outcome
from sidecar.delivery.secret import SecretOf, reveal
from sidecar.kit.addresses import parse_address

if TYPE_CHECKING:
    from sidecar.delivery.kafka_producer import KafkaProducer

MAX_BATCH = 512
_TOPIC = re.compile(r"[0-9A-Za-z._-]{1,249}")


def _check_broker(address: str) -> str:
    if "/" in address or "@" in address or "," in address or not parse_address(address).port:
        raise ValueError("write host:port, one broker an entry")
    return address


def _check_topic(name: str) -> str:
    if not _TOPIC.fullmatch(name):
        raise ValueError("must be up to 249 letters, digits, dots, underscores and hyphens")
    return name


class KafkaOptions(BrokerOptions):
    """The options of `destination: {kafka: {…}}`."""

    brokers: Annotated[tuple[Annotated[str, AfterValidator(_check_broker)], ...], AfterValidator(check_some)]
    """Those who are asked for the others."""
    topic: Annotated[str, AfterValidator(_check_topic)]
    tls: bool = Field(default=False, strict=True)
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How user and password are shown."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    max_message_bytes: int = Field(default=1_000_000, ge=1000, le=1_000_000_000, strict=True)
    """Must not be above the topic's own `max.message.bytes`."""

    @model_validator(mode="after")
    def _can_connect(self) -> KafkaOptions:
        if self.names_certificates and not self.tls:
            raise ValueError("certificates are for tls: true")
        return self


class Kafka:
    """Publishes from a thread of its own, in which the client calls back."""

    max_batch = MAX_BATCH

    def __init__(self, options: KafkaOptions, secret_of: SecretOf) -> None:
        self._options = options
        self._secret_of = secret_of
        self._thread = ThreadPoolExecutor(1, "kafka")
        self._over = threading.Event()
        self._producer: KafkaProducer | None = None

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Publish all `parcels` at once; those that were refused together, again one by one."""
        place = self._options.password
        secret = "" if place is None else await reveal(place, self._secret_of)
        if not isinstance(secret, str):
            return [secret] * len(parcels)
        messages, outcomes = to_messages(parcels)
        answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._publish, messages, secret)
        for message, outcome in zip(messages, answers, strict=True):
            outcomes.update(dict.fromkeys(message.places, outcome))
        return [outcomes[place] for place in range(len(parcels))]

    async def close(self) -> None:
        """What is under way ends at once, without a verdict."""
        self._over.set()
        if self._producer is not None:
            self._producer.give_up()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        if self._producer is not None:
            await asyncio.to_thread(self._producer.close)

    def _publish(self, messages: Sequence[Message], secret: str) -> list[Outcome]:
        if self._producer is None:
            from sidecar.delivery.kafka_producer import KafkaProducer

            self._producer = KafkaProducer(self._options, self._over)
        producer = self._producer
        deadline = producer.deadline()
        answers = producer.publish(messages, secret, deadline)
        return [
            _settled(answer) if len(messages) == 1 or not isinstance(answer, Doubt)
            else _settled(*producer.publish([message], secret, deadline))
            for message, answer in zip(messages, answers, strict=True)
        ]  # fmt: skip


def _settled(answer: Outcome | Doubt) -> Outcome:
    return answer.outcome if isinstance(answer, Doubt) else answer
