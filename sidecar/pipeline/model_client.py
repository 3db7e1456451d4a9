"""Asks one model server over HTTP, within its bounds.

Owns the connection's side of a call: how many at one time, how long, how often, and when the server is left alone.
Promises to end in an answer, in AwayError or in RefusedError, each counted under its name, and that no secret and no
query of the URL is in any of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import tenacity

from sidecar.data import Data
from sidecar.delivery.judge import read_retry_after
from sidecar.events import Events
from sidecar.kit import frames
from sidecar.kit.clock import Clock
from sidecar.model_server import ModelServer
from sidecar.pipeline.answers import Learned
from sidecar.pipeline.breaker import Breaker
from sidecar.pipeline.credentials import read_credentials
from sidecar.protocol.asked import AwayError, Question, RefusedError, Written
from sidecar.protocol.model_call import Answer, read_answer
from sidecar.workflow.merge import merge

Sleep = Callable[[float], Awaitable[None]]
MAX_ANSWER_BYTES = 32 * 2**20
MEMORY_PER_BYTE = 8
"""What a byte of JSON takes once it is read, about."""
_KEPT_SECONDS = 4.0
"""How long an idle connection is kept: less than most servers do, so that a call seldom meets one that just closed."""
_QUICK_SECONDS = 2.0
"""A quick try waits no longer, whatever the server asks for: the rest is the job's to wait."""
_QUICK_WAIT = tenacity.wait_random_exponential(multiplier=0.2, max=1.0)
_WORTH_A_QUICK_TRY = frozenset(("unreachable", "connection_lost", "failed", "unavailable", "throttled"))
_SAYS_NOTHING_OF_THE_MODEL = frozenset(("failed", "throttled", "key_refused", "key_missing", "busy", "breaker_open"))
"""Failures that open no breaker: the server is there, or was not asked."""


def new_session() -> aiohttp.ClientSession:
    """The session for model calls, apart from deliveries: a model that hangs takes no connection of theirs.

    No proxy or password from the environment, no cookies kept. Each server's own limit bounds its connections.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS)
    return aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())


class ModelClient:
    """One server's client. The session is not its own."""

    def __init__(
        self,
        server: ModelServer,
        session: aiohttp.ClientSession,
        events: Events,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.server = server
        self.breaker = Breaker(server.breaker_failures, server.breaker_seconds)
        self._session = session
        self._events = events
        self._clock = clock
        self._sleep = sleep
        self._free = asyncio.Semaphore(server.concurrency)
        self._timeout = aiohttp.ClientTimeout(total=server.timeout_seconds, sock_connect=server.connect_seconds)

    async def ask(self, question: Question, written: Written, tries: int, patience_seconds: float | None) -> Learned:
        """The answer, or the refusal. `patience_seconds` bounds the wait for a free call. Raises AwayError."""
        attempts = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(tries),
            wait=_quick_wait,
            retry=tenacity.retry_if_exception(_is_worth_a_quick_try),
            sleep=self._sleep,
            reraise=True,
        )
        return await attempts(self._ask_once, question, written, patience_seconds)

    async def _ask_once(self, question: Question, written: Written, patience_seconds: float | None) -> Learned:
        try:
            self._refuse_while_open()
            async with self._free_call(patience_seconds):
                self._refuse_while_open()
                return await self._ask_guarded(question, written)
        except AwayError as error:
            self._events.model_failed(self.server.id, error.reason)
            raise

    async def _ask_guarded(self, question: Question, written: Written) -> Learned:
        """One call, and what it tells the breaker."""
        is_probe = self.breaker.begin()
        try:
            learned = await self._ask_timed(question, written)
        except AwayError as error:
            self._learn_from(error, is_probe=is_probe)
            raise
        except BaseException:
            self.breaker.left(is_probe=is_probe)
            raise
        self._note_success()
        return learned

    def _learn_from(self, error: AwayError, *, is_probe: bool) -> None:
        now = self._clock.monotonic()
        if error.retry_after_seconds is not None:
            self.breaker.hold(now, error.retry_after_seconds)
        if error.reason == "key_missing":
            self.breaker.left(is_probe=is_probe)
        elif error.reason in _SAYS_NOTHING_OF_THE_MODEL:
            self._note_success()
        elif self.breaker.failed(now, is_probe=is_probe):
            self._events.breaker_opened(self.server.id, error.reason, self.breaker.wait_seconds(now))

    def _note_success(self) -> None:
        if self.breaker.succeeded():
            self._events.breaker_closed(self.server.id)

    async def _ask_timed(self, question: Question, written: Written) -> Learned:
        started = self._clock.monotonic()
        outcome = "unavailable"
        try:
            answer = await self._post(written)
            parts = read_answer(self.server, question, answer)
            outcome = "answered"
            return Learned(merge(parts) if parts else Data(), len(answer.body) * MEMORY_PER_BYTE)
        except RefusedError as error:
            outcome = "refused"
            self._events.model_failed(self.server.id, error.reason)
            refusal = RefusedError(error.reason, f"model {self.server.id!r}: {error}")
            return Learned(refusal, len(str(refusal)))
        except AwayError as error:
            raise AwayError(error.reason, f"model {self.server.id!r}: {error}", error.retry_after_seconds) from error
        finally:
            self._events.model_called(self.server.id, outcome, self._clock.monotonic() - started)

    async def _post(self, written: Written) -> Answer:
        credentials = await read_credentials(self.server)
        headers = {**written.headers, **credentials.headers}
        body = io.BytesIO(written.body)
        try:
            async with self._session.post(
                self.server.url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                content = credentials.blanked(await _read(response))
                after = read_retry_after(response.headers.get("Retry-After", ""), self._clock.now())
                return Answer(response.status, content, after)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one of the latter
            frames.clear(error)
            raise self._away(*self._told(error)) from error

    def _told(self, error: aiohttp.ClientError | OSError) -> tuple[str, str]:
        """The reason, and the same in words."""
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return "unreachable", f"no connection within {self.server.connect_seconds:g} s"
        if isinstance(error, TimeoutError):
            return "timeout", f"no whole answer within {self.server.timeout_seconds:g} s"
        if isinstance(error, aiohttp.ClientConnectorError):
            return "unreachable", str(error)
        return "connection_lost", type(error).__name__

    def _away(self, reason: str, message: str) -> AwayError:
        return AwayError(reason, f"at {self.server.address}: {message}")

    def _refuse_while_open(self) -> None:
        seconds = self.breaker.wait_seconds(self._clock.monotonic())
        if seconds:
            message = f"model {self.server.id!r} is left alone for {seconds:.1f} s: it failed, or asked for it"
            raise AwayError("breaker_open", message, seconds)

    @contextlib.asynccontextmanager
    async def _free_call(self, patience_seconds: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(patience_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            message = f"model {self.server.id!r}: {self.server.concurrency} calls are under way already"
            raise AwayError("busy", message) from error
        try:
            yield
        finally:
            self._free.release()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise RefusedError("unreadable", f"the model's answer has more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _is_worth_a_quick_try(error: BaseException) -> bool:
    if not isinstance(error, AwayError) or error.reason not in _WORTH_A_QUICK_TRY:
        return False
    return (error.retry_after_seconds or 0.0) <= _QUICK_SECONDS


def _quick_wait(state: tenacity.RetryCallState) -> float:
    """The usual wait, or what the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, AwayError) else None
    return max(_QUICK_WAIT(state), asked or 0.0)
