"""What destinations that are brokers have in common: their options, and one connection for all deliveries.

Owns when a connection is made, kept, and given up: it is made when there is something to deliver, kept until it is
lost, hangs or its secret was changed, and given up by `close`. Promises an outcome for every parcel within
`timeout_seconds`, and `Delivered` only for what the broker confirmed. What an answer means belongs to the kind, which
hands in how to connect.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sidecar.delivery.destination import Parcel
from sidecar.delivery.message import Message, to_messages
from sidecar.delivery.outcome import Outcome, Rejected, Retry
from sidecar.delivery.secret import Secret, SecretOf, SecretPlace, reveal
from sidecar.kit import frames

MAX_BATCH = 256
_INSIST_SECONDS = 0.1
CLOSE_SECONDS = 1.0
"""How long a connection may take to say goodbye before it is cut."""


class BrokerOptions(BaseModel):
    """The options that every kind of broker has."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    user: str = ""
    password: Secret | None = None
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600, strict=True)

    @model_validator(mode="after")
    def _fit_together(self) -> BrokerOptions:
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file belongs to a certificate_file")
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password belong together")
        return self

    @property
    def names_certificates(self) -> bool:
        return bool(self.ca_file or self.certificate_file)


def check_some(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Raise ValueError when there is none."""
    if not addresses:
        raise ValueError("must name at least one")
    return addresses


class Doubt(NamedTuple):
    """Refused together with what was under way beside it: it has to be asked alone which of them was meant."""

    outcome: Outcome


class NoConnectionError(Exception):
    """There is no connection; `outcome` says why, for every parcel that waits for one."""

    def __init__(self, outcome: Retry | Rejected) -> None:
        self.outcome = outcome
        super().__init__(outcome.reason)


class Connection(Protocol):
    """One connection to a broker."""

    @property
    def is_lost(self) -> bool:
        """True once it can carry nothing more."""

    async def publish(self, message: Message) -> Outcome | Doubt:
        """Publish and wait for the broker's word, however long that takes; may be under way many times at once."""

    async def close(self) -> None:
        """Say goodbye and let go of everything. May be cancelled; then `cut` follows."""

    def cut(self) -> None:
        """Let go of the socket now."""


Connect = Callable[[str], Awaitable[Connection]]
"""Connects with the secret. Raises NoConnectionError."""


class Broker:
    """Publishes over one connection at a time."""

    max_batch = MAX_BATCH

    def __init__(
        self, connect: Connect, secret: SecretPlace | None, secret_of: SecretOf, timeout_seconds: float
    ) -> None:
        self._connect = connect
        self._place = secret
        self._secret_of = secret_of
        self._timeout_seconds = timeout_seconds
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._secret = ""

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Publish all `parcels` at once; those that were refused together, again one by one."""
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        messages, outcomes = to_messages(parcels)
        answers = await self._publish(messages, deadline)
        for message, answer in zip(messages, answers, strict=True):
            if isinstance(answer, Doubt):
                outcome = answer.outcome if len(messages) == 1 else await self._publish_alone(message, deadline)
            else:
                outcome = answer
            outcomes.update(dict.fromkeys(message.places, outcome))
        return [outcomes[place] for place in range(len(parcels))]

    async def close(self) -> None:
        async with self._connecting:
            await self._let_go()

    async def _publish_alone(self, message: Message, deadline: float) -> Outcome:
        (answer,) = await self._publish([message], deadline)
        return answer.outcome if isinstance(answer, Doubt) else answer

    async def _publish(self, messages: Sequence[Message], deadline: float) -> list[Outcome | Doubt]:
        try:
            connection = await self._connected(deadline)
        except NoConnectionError as error:
            frames.clear(error)
            return [error.outcome] * len(messages)
        tasks = [asyncio.create_task(connection.publish(message)) for message in messages]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
            answers = [_answer_of(task, self._timeout_seconds) for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if connection.is_lost or any(map(_is_timeout, answers)):
            async with self._connecting:
                if self._connection is connection:
                    await self._let_go()
        return answers

    async def _connected(self, deadline: float) -> Connection:
        """The connection; a new one where there is none. Raises NoConnectionError."""
        secret = "" if self._place is None else await reveal(self._place, self._secret_of)
        if not isinstance(secret, str):
            raise NoConnectionError(secret)
        async with self._connecting:
            if self._connection is not None and (self._connection.is_lost or self._secret != secret):
                await self._let_go()
            if self._connection is None:
                try:
                    async with asyncio.timeout_at(deadline):
                        self._connection = await self._connect(secret)
                except TimeoutError:
                    raise NoConnectionError(_timeout(self._timeout_seconds, "no connection")) from None
                self._secret = secret
            return self._connection

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await end(connection)


async def finish_opening(connection: Connection, opening: Coroutine[object, object, None]) -> None:
    """Wait for `opening`, and end `connection` when that fails or is cancelled.

    Insists: before Python 3.12 `wait_for`, which clients use, may swallow a cancellation.
    """
    task = asyncio.create_task(opening)
    try:
        await asyncio.wait((task,))
        await task
    except BaseException:
        while not task.done():
            connection.cut()
            task.cancel()
            await asyncio.wait((task,), timeout=_INSIST_SECONDS)
        await end(connection)
        raise


async def end(connection: Connection) -> None:
    """Close `connection` within bounds, whatever its far side does."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()
    finally:
        connection.cut()


def _answer_of(task: asyncio.Task[Outcome | Doubt], timeout_seconds: float) -> Outcome | Doubt:
    if not task.done():
        return _timeout(timeout_seconds, "no confirmation")
    if task.cancelled():
        return Retry("connection_lost", "the connection was closed before the broker confirmed")
    error = task.exception()
    if isinstance(error, Exception):  # what a client makes of an answer that no broker gives
        return Retry("connection_lost", f"the client failed: {type(error).__name__}: {error}")
    return task.result()


def _timeout(seconds: float, what: str) -> Retry:
    return Retry("timeout", f"{what} within {seconds:g} s")


def _is_timeout(answer: Outcome | Doubt) -> bool:
    return isinstance(answer, Retry) and answer.reason == "timeout"
