"""One connection to RabbitMQ with one confirming channel, over aiormq. Needs the extra `rabbitmq`: whoever imports this
does so late.

The broker closes a channel for what one message did, and so refuses all that were under way on it: such an answer is a
doubt, which only asking one by one can settle.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import aiormq
from aiormq import exceptions
from aiormq.abc import AbstractChannel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from yarl import URL

from sidecar.delivery.broker import Doubt, NoConnectionError, finish_opening
from sidecar.delivery.message import CONTENT_TYPE, Message, address_of
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.rabbitmq import RabbitMQOptions

_GUEST = "guest"
_PERSISTENT = 2
_NOT_ACCEPTED = (
    exceptions.AuthenticationError,
    exceptions.ProbableAuthenticationError,
    exceptions.ConnectionNotAllowed,
)
# its own words are about what becomes an outcome here, which is where it is told
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class _Line(TransportFactory):
    """Opens the socket, and can let go of it at once."""

    def __init__(self, *, is_tls: bool) -> None:
        self._inner: TransportFactory = TLSTransportFactory() if is_tls else TCPTransportFactory()
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:  # noqa: ANN401 - the library's own signature
        reader, self._writer = await self._inner.create(url, **kwargs)
        return reader, self._writer

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


class RabbitMQConnection:
    """Publishes to one exchange."""

    def __init__(self, options: RabbitMQOptions, secret: str, context: ssl.SSLContext | None) -> None:
        self._options = options
        address = URL(options.url)
        self._line = _Line(is_tls=address.scheme == "amqps")
        url = address.with_user(options.user or _GUEST).with_password(secret or _GUEST)
        self._connection = aiormq.Connection(url, context=context, transport_factory=self._line)
        self._channel: AbstractChannel | None = None

    @property
    def is_lost(self) -> bool:
        return self._connection.is_closed or self._channel is None or self._channel.is_closed

    async def open(self) -> None:
        """Raises NoConnectionError."""
        try:
            await self._connection.connect()
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        except (exceptions.AMQPError, PAMQPException, OSError, EOFError, ValueError) as error:
            raise NoConnectionError(_why(error)) from None

    async def publish(self, message: Message) -> Outcome | Doubt:
        if len(message.body) > self._options.max_message_bytes:
            limit = self._options.max_message_bytes
            return Rejected("too_large", f"the input has {len(message.body)} bytes of JSON, the limit is {limit}")
        routing_key = address_of(self._options.routing_key, message.parcel)
        properties = Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=_PERSISTENT,
            message_id=message.input_id,
            headers={"input-id": message.input_id},
        )
        try:
            if self._channel is None:
                return Retry("connection_lost", "there is no channel")
            await self._channel.basic_publish(
                message.body,
                exchange=self._options.exchange,
                routing_key=routing_key,
                properties=properties,
                mandatory=True,
            )
        except exceptions.PublishError:
            return Retry("unroutable", f"no queue takes the routing key {routing_key}")
        except exceptions.DeliveryError:
            return Retry("throttled", "the broker refused it: a queue is full, or failed")
        except exceptions.ChannelClosed as error:
            return _judge(error)
        except (exceptions.AMQPError, exceptions.ChannelInvalidStateError, OSError, EOFError) as error:
            return Retry("connection_lost", f"{type(error).__name__}: {error}")
        return Delivered()

    async def close(self) -> None:
        await self._connection.close()

    def cut(self) -> None:
        self._line.abort()


async def connect(options: RabbitMQOptions, secret: str, context: ssl.SSLContext | None) -> RabbitMQConnection:
    """Raises NoConnectionError; leaves nothing open then, nor when it is cancelled."""
    connection = RabbitMQConnection(options, secret, context)
    await finish_opening(connection, connection.open())
    return connection


def _why(error: Exception) -> Retry | Rejected:
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, _NOT_ACCEPTED):
        return Rejected("forbidden", "the broker does not accept the user, its password or the virtual host")
    if isinstance(error, exceptions.InvalidFrameError) and "Connection.Close" in told:  # in place of Connection.OpenOk
        return Retry("no_virtual_host", told)
    cause = error.__cause__
    if isinstance(error, ssl.SSLError) or isinstance(cause, ssl.SSLError):
        return Retry("tls_failed", f"{type(cause or error).__name__}: {cause or error}")
    return Retry("unreachable", told)


def _judge(error: exceptions.ChannelClosed) -> Outcome | Doubt:
    told = str(error)
    if isinstance(error, exceptions.ChannelNotFoundEntity):
        return Retry("unknown_exchange", told)
    if isinstance(error, exceptions.ChannelAccessRefused):
        return Doubt(Rejected("forbidden", told))
    if isinstance(error, exceptions.ChannelPreconditionFailed):
        return Doubt(Rejected("too_large" if "size" in told else "refused", told))
    return Retry("channel_closed", told)
