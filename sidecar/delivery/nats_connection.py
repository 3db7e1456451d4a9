"""One connection to NATS, over the official client. Needs the extra `nats`: whoever imports this does so late.

The client's own reconnecting is off: it would keep what was sent in a buffer while the server is away, and a job would
wait there without a verdict. Promises that nothing goes over `tls://` before TLS stands, the password least of all: the
client leaves that to what the server says in clear.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Coroutine
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.js.errors import APIError, NoStreamResponseError

from sidecar.delivery.broker import Doubt, NoConnectionError, finish_opening
from sidecar.delivery.message import CONTENT_TYPE, Message, address_of
from sidecar.delivery.nats import NatsOptions
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry

_HEADER_BYTES = 1024
"""More than all of our headers: the server counts them among the payload."""
_TOO_LARGE = 10054
"""JSStreamMessageExceedsMaximumErr: the stream has a `max_msg_size`."""
_FULL = ("maximum", "exceeded", "insufficient")
_NO_LIMIT_SECONDS = 3600
"""The client's own limits: ours end earlier, and for all steps together."""


class _Line(TcpTransport):
    """The client's transport, whose socket can be let go of at once and which knows whether it is encrypted."""

    is_encrypted = False

    async def connect_tls(self, uri: Any, *args: Any) -> None:  # noqa: ANN401 - the client's own signature
        await super().connect_tls(uri, *args)
        self.is_encrypted = True

    def close(self) -> None:
        if self._io_writer is not None:
            super().close()

    def __bool__(self) -> bool:
        return True  # else the client makes another

    def abort(self) -> None:
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()


class NatsConnection:
    """Publishes to JetStream."""

    def __init__(self, options: NatsOptions) -> None:
        self._options = options
        self._line = _Line()
        self._client = Client()
        self._client._transport = self._line  # noqa: SLF001 - the client takes one that is there, and has no other way
        self._stream = self._client.jetstream()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        """For each publication without an answer, by subject, what ends the wait for it."""
        self._errors: list[Exception] = []

    @property
    def is_lost(self) -> bool:
        return not self._client.is_connected

    async def open(self, secret: str, context: ssl.SSLContext | None) -> None:
        """Raises NoConnectionError."""
        try:
            await self._connect(secret, context)
        except (nats.errors.Error, OSError) as error:
            raise NoConnectionError(self._why(error)) from None
        if self._options.is_tls and not self._line.is_encrypted:
            raise NoConnectionError(Retry("tls_failed", "the server offers no TLS"))

    async def publish(self, message: Message) -> Outcome | Doubt:
        subject = address_of(self._options.subject, message.parcel)
        if len(message.body) + _HEADER_BYTES > self._client.max_payload:
            limit = self._client.max_payload
            return Rejected("too_large", f"the input has {len(message.body)} bytes of JSON, the server takes {limit}")
        headers = {"Nats-Msg-Id": message.input_id, "Content-Type": CONTENT_TYPE}
        try:
            stream = self._options.stream or None
            await self._answered(
                subject, self._stream.publish(subject, message.body, _NO_LIMIT_SECONDS, stream, headers)
            )
        except NoStreamResponseError:
            return Retry("no_stream", f"no stream takes the subject {subject}")
        except APIError as error:
            return _judge(error)
        except PermissionError as error:
            return Rejected("forbidden", str(error))
        except (nats.errors.Error, OSError) as error:
            return Retry("connection_lost", str(error) or type(error).__name__)
        return Delivered()

    async def close(self) -> None:
        await self._client.close()

    def cut(self) -> None:
        self._line.abort()

    async def _connect(self, secret: str, context: ssl.SSLContext | None) -> None:
        options = self._options

        def encrypted_secret() -> str:
            if options.is_tls and not self._line.is_encrypted:
                raise nats.errors.SecureConnWantedError
            return secret

        await self._client.connect(
            list(options.servers),
            error_cb=self._on_error,
            closed_cb=self._on_closed,
            name="collector-sidecar",
            allow_reconnect=False,
            connect_timeout=math.ceil(options.timeout_seconds),
            reconnect_time_wait=0,
            max_reconnect_attempts=1,
            tls=context,
            user=options.user or None,
            password=encrypted_secret if options.user else None,
            token=encrypted_secret if options.token else None,
        )

    async def _answered(self, subject: str, answer: Coroutine[Any, Any, Any]) -> None:
        """Wait for `answer`, or for what keeps it from coming; raises either's error."""
        if self._client.is_closed:
            answer.close()
            raise nats.errors.ConnectionClosedError
        asking = asyncio.create_task(answer)
        trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(subject, set())
        waiting.add(trouble)
        try:
            await asyncio.wait((asking, trouble), return_when=asyncio.FIRST_COMPLETED)
            await (trouble if trouble.done() else asking)
        finally:
            waiting.discard(trouble)
            if not waiting:
                self._waiting.pop(subject, None)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _on_error(self, error: Exception) -> None:
        """A permission that is missing is told here, and not to the one who waits for an answer."""
        self._errors.append(error)
        told = str(error).lower()
        for subject, waiting in self._waiting.items():
            if "permissions violation for publish" in told and f'"{subject.lower()}"' in told:
                _fail(waiting, PermissionError(f"the user may not publish to {subject}"))

    async def _on_closed(self) -> None:
        for waiting in self._waiting.values():
            _fail(waiting, nats.errors.ConnectionClosedError())

    def _why(self, error: Exception) -> Retry | Rejected:
        last = self._errors[-1] if self._errors else error
        told = f"{type(last).__name__}: {last}"
        if isinstance(last, nats.errors.SecureConnWantedError):
            return Retry("tls_failed", "the server offers no TLS")
        if isinstance(last, ssl.SSLError):
            return Retry("tls_failed", told)
        if "authorization violation" in told.lower() or "authentication" in told.lower():
            return Rejected("forbidden", "the server does not accept the credentials")
        return Retry("unreachable", told)


async def connect(options: NatsOptions, secret: str, context: ssl.SSLContext | None) -> NatsConnection:
    """Raises NoConnectionError; leaves nothing open then, nor when it is cancelled."""
    connection = NatsConnection(options)
    await finish_opening(connection, connection.open(secret, context))
    return connection


def _fail(waiting: set[asyncio.Future[None]], error: Exception) -> None:
    for trouble in waiting:
        if not trouble.done():
            trouble.set_exception(error)


def _judge(error: APIError) -> Outcome:
    told = error.description or f"code {error.code}"
    if error.err_code == _TOO_LARGE:
        return Rejected("too_large", told)
    if any(word in told.lower() for word in _FULL):
        return Retry("throttled", told)
    return Retry("unavailable", told) if error.code is None or error.code >= 500 else Rejected("refused", told)
