"""librdkafka's own mock cluster: real sockets and the real protocol, and every error that a broker can give.

It is part of the client's wheel, and made to be driven from C; the functions are those of `rdkafka_mock.h`.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition, cimpl

PARTITIONS = 4
TOPIC = "kept"
_PRODUCE = 0
_BROKER = 1
_PRODUCER = 0
_HEARD_SECONDS = 10.0
_LIBRARY = ctypes.CDLL(cimpl.__file__)
for _name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
    getattr(_LIBRARY, _name).restype = ctypes.c_void_p
_LIBRARY.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p


class KafkaCluster:
    """One broker with one topic, `kept`."""

    def __init__(self) -> None:
        text = ctypes.create_string_buffer(512)
        settings = ctypes.c_void_p(_LIBRARY.rd_kafka_conf_new())
        _LIBRARY.rd_kafka_conf_set(settings, b"log_level", b"0", text, len(text))
        self._handle = ctypes.c_void_p(_LIBRARY.rd_kafka_new(_PRODUCER, settings, text, len(text)))
        self._cluster = ctypes.c_void_p(_LIBRARY.rd_kafka_mock_cluster_new(self._handle, 1))
        self.address = _LIBRARY.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        _LIBRARY.rd_kafka_mock_topic_create(self._cluster, TOPIC.encode(), PARTITIONS, 1)

    def answer(self, *errors: int) -> None:
        """The next requests to store something are answered with these, 0 being none."""
        codes = (ctypes.c_int * len(errors))(*errors)
        _LIBRARY.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(_PRODUCE), ctypes.c_size_t(len(errors)), codes
        )

    def answer_as_before(self) -> None:
        _LIBRARY.rd_kafka_mock_clear_request_errors(self._cluster, ctypes.c_int16(_PRODUCE))

    def refuse_topic(self, error: int) -> None:
        """Say this of the topic, whoever asks, 0 being none."""
        _LIBRARY.rd_kafka_mock_topic_set_error(self._cluster, TOPIC.encode(), error)

    def answer_after(self, seconds: float) -> None:
        _LIBRARY.rd_kafka_mock_broker_set_rtt(self._cluster, _BROKER, int(seconds * 1000))

    def go(self) -> None:
        """Drop all connections and take none."""
        _LIBRARY.rd_kafka_mock_broker_set_down(self._cluster, _BROKER)

    def come_back(self) -> None:
        _LIBRARY.rd_kafka_mock_broker_set_up(self._cluster, _BROKER)

    def close(self) -> None:
        _LIBRARY.rd_kafka_mock_cluster_destroy(self._cluster)
        _LIBRARY.rd_kafka_destroy(self._handle)

    def messages(self) -> list[Message]:
        """All that is stored, read by a real consumer. Blocks."""
        settings = {"bootstrap.servers": self.address, "group.id": "test", "enable.partition.eof": True, "log_level": 0}
        settings |= {"fetch.wait.max.ms": 10}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
        heard: list[Message] = []
        ends: set[int | None] = set()
        while len(ends) < PARTITIONS:
            message = consumer.poll(_HEARD_SECONDS)
            assert message is not None
            error = message.error()
            if error is None:
                heard.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ends.add(message.partition())
            else:
                raise KafkaException(error)
        consumer.close()
        return heard


def header_of(message: Message, name: str) -> str:
    value = dict(message.headers() or ())[name]
    assert isinstance(value, bytes)
    return value.decode()


@contextlib.contextmanager
def kafka_cluster() -> Iterator[KafkaCluster]:
    cluster = KafkaCluster()
    try:
        yield cluster
    finally:
        cluster.close()
