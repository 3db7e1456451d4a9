"""Every kind of destination, written out by hand: its options, and how it is opened from what it stands on."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from sidecar import collector
from sidecar.delivery.clarifai import ClarifaiApp, ClarifaiOptions
from sidecar.delivery.cloudevents_options import CloudEventsOptions
from sidecar.delivery.destination import Destination
from sidecar.delivery.embedded import EmbeddedApp, EmbeddedOptions
from sidecar.delivery.kafka import Kafka, KafkaOptions
from sidecar.delivery.nats import NatsOptions, open_nats
from sidecar.delivery.posting import Sleep
from sidecar.delivery.rabbitmq import RabbitMQOptions, open_rabbitmq
from sidecar.delivery.record_files.destination import RecordFiles
from sidecar.delivery.record_files.options import RecordFilesOptions
from sidecar.delivery.record_files.stores import open_store
from sidecar.delivery.secret import SecretOf
from sidecar.delivery.sql_options import SqlOptions
from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.clock import Clock
from sidecar.kit.validation import faults_of
from sidecar.store.database import Database

OptionsT = TypeVar("OptionsT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parts:
    """What destinations stand on; whoever made a part closes it."""

    database: Database
    session: aiohttp.ClientSession
    secret_of: SecretOf
    """Gives the secret behind a reference: `Secrets.reveal`."""
    clock: Clock
    sleep: Sleep = asyncio.sleep
    """How the quick tries inside one lease wait."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[OptionsT]):
    """One kind of destination; `open` also gets the collector's own key reference."""

    options: type[OptionsT]
    open: Callable[[OptionsT, Parts, str], Destination]
    needs: str = ""
    """A package that does not come with the product: whatever imports it is imported by `open`."""
    extra: str = ""
    """The extra that brings `needs`."""
    resumes: bool = False
    """True if what it opens is `Resuming`: worth to be opened at the start, before there is anything to deliver."""


def _open_app(options: EmbeddedOptions, parts: Parts, _key_id: str) -> Destination:
    return EmbeddedApp(options, parts.database)


def _open_clarifai(options: ClarifaiOptions, parts: Parts, key_id: str) -> Destination:
    chosen = options.model_copy(update={"key_id": options.key_id or key_id})
    return ClarifaiApp(chosen, parts.session, parts.secret_of, parts.clock, parts.sleep)


def _open_cloudevents(options: CloudEventsOptions, parts: Parts, _key_id: str) -> Destination:
    from sidecar.delivery.cloudevents import CloudEvents

    return CloudEvents(options, parts.session, parts.secret_of, parts.clock, parts.sleep)


def _open_sql(options: SqlOptions, parts: Parts, _key_id: str) -> Destination:
    from sidecar.delivery.sql import SqlTable

    return SqlTable(options, parts.secret_of)


def _open_kafka(options: KafkaOptions, parts: Parts, _key_id: str) -> Destination:
    return Kafka(options, parts.secret_of)


def _open_nats(options: NatsOptions, parts: Parts, _key_id: str) -> Destination:
    return open_nats(options, parts.secret_of)


def _open_rabbitmq(options: RabbitMQOptions, parts: Parts, _key_id: str) -> Destination:
    return open_rabbitmq(options, parts.secret_of)


def _open_files(options: RecordFilesOptions, parts: Parts, _key_id: str) -> Destination:
    return RecordFiles(options, open_store(options), f"{socket.gethostname()} {parts.database.name}", parts.clock)


DESTINATIONS: Mapping[str, Kind[Any]] = {
    "app": Kind(EmbeddedOptions, _open_app),
    "clarifai": Kind(ClarifaiOptions, _open_clarifai),
    "cloudevents": Kind(CloudEventsOptions, _open_cloudevents, "cloudevents", "cloudevents"),
    "sql": Kind(SqlOptions, _open_sql),
    "kafka": Kind(KafkaOptions, _open_kafka, "confluent_kafka", "kafka"),
    "nats": Kind(NatsOptions, _open_nats, "nats", "nats"),
    "rabbitmq": Kind(RabbitMQOptions, _open_rabbitmq, "aiormq", "rabbitmq"),
    "files": Kind(RecordFilesOptions, _open_files, resumes=True),
}


def new_session() -> aiohttp.ClientSession:
    """The session for `Parts`: no proxy or password from the environment, no cookies kept."""
    return aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())


def check_options(destination: collector.Destination) -> None:
    """Raise ConfigurationError naming every field at fault, or the extra that is not installed."""
    _read(destination)


def resumes(destination: collector.Destination) -> bool:
    """True if an earlier life may have left work in it."""
    kind = DESTINATIONS.get(destination.kind)
    return kind is not None and kind.resumes


def open_destination(destination: collector.Destination, parts: Parts, key_id: str = "") -> Destination:
    """Open a destination. `key_id` is the collector's `post_inputs_key_id`, used when the options name no key.

    Raises ConfigurationError as `check_options` does.
    """
    kind, options = _read(destination)
    return kind.open(options, parts, key_id)


def _read(destination: collector.Destination) -> tuple[Kind[Any], BaseModel]:
    kind = DESTINATIONS.get(destination.kind)
    if kind is None:
        message = f"there is no kind {destination.kind!r}: write one of {', '.join(DESTINATIONS)}"
        raise ConfigurationError(Problem(message, field="destination"))
    if kind.needs and importlib.util.find_spec(kind.needs) is None:
        message = f"needs the extra `{kind.extra}`: pip install 'collector-sidecar[{kind.extra}]'"
        raise ConfigurationError(Problem(message, field=f"destination.{destination.kind}"))
    try:
        return kind, kind.options.model_validate(dict(destination.options))
    except ValidationError as error:
        faults = faults_of(error, kind.options, f"destination.{destination.kind}")
    raise ConfigurationError([Problem(fault.message, fault.field) for fault in faults])
