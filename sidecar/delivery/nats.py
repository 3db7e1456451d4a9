"""Publish inputs to a stream of NATS JetStream: its options. What talks to the server is `nats_connection`.

A stream that takes the subjects must be there: none is made here. Each message carries the input id as `Nats-Msg-Id`,
by which JetStream drops a repeat within the stream's `duplicate_window`.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from sidecar.delivery.broker import Broker, BrokerOptions, Connection, NoConnectionError, check_some
from sidecar.delivery.message import longest_address
from sidecar.delivery.outcome import Retry
from sidecar.delivery.secret import Secret, SecretOf
from sidecar.delivery.tls import Certificates
from sidecar.kit.addresses import refuse_password

LONGEST_SUBJECT = 1000


def _check_server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError("write nats://host:4222, or tls://host:4222")
    refuse_password(url)
    return url


def _check_subject(subject: str) -> str:
    if longest_address(subject) > LONGEST_SUBJECT:
        raise ValueError(f"may come to more than {LONGEST_SUBJECT} characters")
    if any(character in subject for character in "*> \t\r\n") or not all(subject.split(".")):
        raise ValueError("must be words with dots between them, without * and >")
    return subject


class NatsOptions(BrokerOptions):
    """The options of `destination: {nats: {…}}`."""

    servers: Annotated[tuple[Annotated[str, AfterValidator(_check_server)], ...], AfterValidator(check_some)]
    subject: Annotated[str, AfterValidator(_check_subject)] = "inputs.{collector}.{caller}.{model}"
    stream: str = ""
    """The stream that must take it; blank: whichever takes the subject."""
    token: Secret | None = None

    @model_validator(mode="after")
    def _can_connect(self) -> NatsOptions:
        if self.token is not None and self.user:
            raise ValueError("write either a token or a user with a password")
        if len({urlsplit(server).scheme for server in self.servers}) > 1:
            raise ValueError("servers: write tls:// for all of them or for none")
        if self.names_certificates and not self.is_tls:
            raise ValueError("certificates are for tls://")
        return self

    @property
    def is_tls(self) -> bool:
        return urlsplit(self.servers[0]).scheme == "tls"


def open_nats(options: NatsOptions, secret_of: SecretOf) -> Broker:
    certificates = Certificates(options.ca_file, options.certificate_file, options.key_file)

    async def connect(secret: str) -> Connection:
        from sidecar.delivery import nats_connection

        context = await certificates.context()
        if isinstance(context, Retry):
            raise NoConnectionError(context)
        return await nats_connection.connect(options, secret, context)

    return Broker(connect, options.password or options.token, secret_of, options.timeout_seconds)
