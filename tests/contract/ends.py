"""Every end, written out by hand: at least one for every kind of destination."""

from __future__ import annotations

from collections.abc import Mapping

from contract.app_end import AppEnd
from contract.clarifai_end import ClarifaiEnd
from contract.cloudevents_end import BatchedEnd, BinaryEnd, KServeEnd, StructuredEnd
from contract.end import End
from contract.folder_end import FolderEnd
from contract.kafka_end import KafkaEnd
from contract.nats_end import NatsEnd
from contract.rabbitmq_end import RabbitMQEnd
from contract.s3_end import S3End
from contract.sql_end import MariaEnd, PostgresEnd, SqliteEnd

ENDS: Mapping[str, type[End]] = {
    "app": AppEnd,
    "clarifai": ClarifaiEnd,
    "cloudevents-binary": BinaryEnd,
    "cloudevents-structured": StructuredEnd,
    "cloudevents-batched": BatchedEnd,
    "cloudevents-kserve": KServeEnd,
    "sql-postgresql": PostgresEnd,
    "sql-mariadb": MariaEnd,
    "sql-sqlite": SqliteEnd,
    "kafka": KafkaEnd,
    "nats": NatsEnd,
    "rabbitmq": RabbitMQEnd,
    "files-in-a-folder": FolderEnd,
    "files-in-a-bucket": S3End,
}
