"""The producer, over confluent-kafka. Needs the extra `kafka`: whoever imports this does so late, and calls it from one
thread, as all but `give_up` block.

librdkafka has its own threads for the network and calls back where it is asked to wait: `flush` sleeps until there is
something to say. Its producer is idempotent and asks for the confirmation of all replicas, and of every message there
is a report. It tells only once that all brokers are away, and a request without an answer stands in the way of those
after it: so after a failure of the connection the next delivery begins with a new producer.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from sidecar.delivery.broker import Doubt
from sidecar.delivery.kafka import KafkaOptions
from sidecar.delivery.message import CONTENT_TYPE, Message, key_of
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry

_LAST_WORDS_SECONDS = 1.0
"""How long the reports of messages that were given up may take; they are at hand."""
_OF_THE_BATCH = {
    KafkaError.MSG_SIZE_TOO_LARGE: "too_large",
    KafkaError.INVALID_MSG: "refused",
    KafkaError.INVALID_RECORD: "refused",
}
_AUTHENTICATION = KafkaError._AUTHENTICATION  # noqa: SLF001 - librdkafka's own names: those of its errors begin so
_FORBIDDEN = frozenset(
    (
        _AUTHENTICATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
    )
)
_REASONS = {
    KafkaError._MSG_TIMED_OUT: "timeout",  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_TOPIC: "unknown_topic",  # noqa: SLF001 - as above
    KafkaError.UNKNOWN_TOPIC_OR_PART: "unknown_topic",
    KafkaError.THROTTLING_QUOTA_EXCEEDED: "throttled",
}
_GIVEN_UP = frozenset((KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT))  # noqa: SLF001 - as above
_AWAY = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - as above


class KafkaProducer:
    """Publishes to one topic."""

    def __init__(self, options: KafkaOptions, over: threading.Event) -> None:
        """`over` is set before `give_up` is called, which may be before there is anything to give up."""
        self._options = options
        self._over = over
        self._producer: Producer | None = None
        self._secret = ""
        self._last: KafkaError | None = None
        """What the client last said of its connections."""
        self._failure: Retry | Rejected | None = None
        """Why all that is under way was given up."""

    def deadline(self) -> float:
        return time.monotonic() + self._options.timeout_seconds

    def publish(self, messages: Sequence[Message], secret: str, deadline: float) -> list[Outcome | Doubt]:
        """Publish, and wait for a report of each."""
        try:
            producer = self._opened(secret)
        except KafkaException as error:
            return [Retry("certificate_unreadable", str(error.args[0].str()))] * len(messages)
        answers: dict[str, Outcome | Doubt] = {}
        for message in messages:
            self._produce(producer, message, answers)
        if self._over.is_set():
            self.give_up()
        if producer.flush(max(0.0, deadline - time.monotonic())):
            self._fail(Retry("timeout", f"no confirmation within {self._options.timeout_seconds:g} s"))
            producer.flush(_LAST_WORDS_SECONDS)
        failure = self._failure
        if failure is not None:
            self.close()
        unheard = failure or Retry("timeout", "no report")
        return [answers.get(message.input_id, unheard) for message in messages]

    def give_up(self) -> None:
        """Let `publish` return now; from any thread."""
        self._fail(Retry("closed", "the destination was closed"))

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(_LAST_WORDS_SECONDS)

    def _opened(self, secret: str) -> Producer:
        if self._producer is not None:
            self._producer.poll(0)  # what was said of the connections since the last time
            if self._failure is not None or self._secret != secret:
                self.close()
        self._last = self._failure = None
        if self._producer is None:
            self._producer = Producer(_settings(self._options, secret) | {"error_cb": self._on_error})
            self._secret = secret
        return self._producer

    def _produce(self, producer: Producer, message: Message, answers: dict[str, Outcome | Doubt]) -> None:
        try:
            producer.produce(
                self._options.topic,
                message.body,
                key_of(message.parcel),
                headers={"input-id": message.input_id, "content-type": CONTENT_TYPE},
                on_delivery=functools.partial(self._on_delivery, message.input_id, answers),
            )
        except BufferError:
            answers[message.input_id] = Retry("throttled", "the client's own queue is full")
        except KafkaException as error:
            answer = self._judge(error.args[0])
            answers[message.input_id] = answer.outcome if isinstance(answer, Doubt) else answer

    def _on_delivery(
        self, input_id: str, answers: dict[str, Outcome | Doubt], error: KafkaError | None, _message: object
    ) -> None:
        answers[input_id] = Delivered() if error is None else self._judge(error)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _FORBIDDEN and not _is_of_the_way(error):
            self._fail(Rejected("forbidden", error.str()))
        elif error.code() == _AWAY or error.fatal():
            self._fail(Retry("unreachable", (self._last or error).str()))
        else:
            self._last = error

    def _fail(self, failure: Retry | Rejected) -> None:
        if self._failure is None:
            self._failure = failure
        if self._producer is not None:
            self._producer.purge(blocking=False)

    def _judge(self, error: KafkaError) -> Outcome | Doubt:
        code, told = error.code(), error.str()
        if code in _GIVEN_UP and self._failure is not None:
            return self._failure
        if code in _OF_THE_BATCH:
            return Doubt(Rejected(_OF_THE_BATCH[code], told))
        if code in _FORBIDDEN:
            return Rejected("forbidden", told)
        return Retry(_REASONS.get(code, error.name().strip("_").lower()), told)


def _is_of_the_way(error: KafkaError) -> bool:
    """True if the connection broke while the password was shown, which librdkafka gives the same code as a refusal."""
    told = error.str()
    return error.code() == _AUTHENTICATION and ("authentication error" not in told or "Request failed" in told)


def _settings(options: KafkaOptions, secret: str) -> dict[str, Any]:
    """librdkafka's own names. Source: its CONFIGURATION.md."""
    has_user = bool(options.user)
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(options.brokers),
        "client.id": "collector-sidecar",
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # that of the Java client: the same key, the same partition
        "compression.type": options.compression,
        "message.max.bytes": options.max_message_bytes,
        "message.timeout.ms": int(options.timeout_seconds * 1000) + 1000,  # ours ends earlier
        "topic.metadata.propagation.max.ms": int(options.timeout_seconds * 1000 / 3),  # then a topic counts as unknown
        "security.protocol": ("SASL_" if has_user else "") + ("SSL" if options.tls else "PLAINTEXT"),
        "log_level": 0,  # what matters becomes an outcome, which is where it is told
    }
    if has_user:
        settings |= {"sasl.mechanism": options.mechanism, "sasl.username": options.user, "sasl.password": secret}
    files = {
        "ssl.ca.location": options.ca_file,
        "ssl.certificate.location": options.certificate_file,
        "ssl.key.location": options.key_file,
    }
    return settings | {name: path for name, path in files.items() if path}
