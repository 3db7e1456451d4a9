"""Publish inputs to an exchange of RabbitMQ: its options. What talks to the broker is `rabbitmq_connection`.

The exchange must be there, and a queue that takes the routing key bound to it: none is made here. Every message is
persistent and must be routed; the input id is its `message_id`, as RabbitMQ itself tells no repeat from a new message.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from sidecar.delivery.broker import Broker, BrokerOptions, Connection, NoConnectionError
from sidecar.delivery.message import longest_address
from sidecar.delivery.outcome import Retry
from sidecar.delivery.secret import SecretOf
from sidecar.delivery.tls import Certificates
from sidecar.kit.addresses import refuse_password

LONGEST_ROUTING_KEY = 255
"""Bytes, by AMQP 0-9-1."""


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("write amqp://host:5672/ or amqps://host:5671/, with the virtual host after the slash")
    refuse_password(url)
    return url


def _check_routing_key(key: str) -> str:
    if longest_address(key) > LONGEST_ROUTING_KEY:
        raise ValueError(f"may come to more than the {LONGEST_ROUTING_KEY} bytes that AMQP allows")
    return key


class RabbitMQOptions(BrokerOptions):
    """The options of `destination: {rabbitmq: {…}}`; a blank user is RabbitMQ's own `guest`."""

    url: Annotated[str, AfterValidator(_check_url)]
    exchange: str = Field(max_length=127)
    """Blank: the default exchange, where the routing key names a queue."""
    routing_key: Annotated[str, AfterValidator(_check_routing_key)] = "{collector}.{caller}.{model}"
    max_message_bytes: int = Field(default=16_777_216, ge=1, le=536_870_912, strict=True)
    """The broker's own `max_message_size`: it closes the channel on one that is larger."""

    @model_validator(mode="after")
    def _can_connect(self) -> RabbitMQOptions:
        if self.names_certificates and urlsplit(self.url).scheme != "amqps":
            raise ValueError("certificates are for amqps://")
        return self


def open_rabbitmq(options: RabbitMQOptions, secret_of: SecretOf) -> Broker:
    certificates = Certificates(options.ca_file, options.certificate_file, options.key_file)

    async def connect(secret: str) -> Connection:
        from sidecar.delivery import rabbitmq_connection

        context = await certificates.context()
        if isinstance(context, Retry):
            raise NoConnectionError(context)
        return await rabbitmq_connection.connect(options, secret, context)

    return Broker(connect, options.password, secret_of, options.timeout_seconds)
