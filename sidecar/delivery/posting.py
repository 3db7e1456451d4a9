"""One POST, with the few quick tries inside one lease; the long waits belong to the job.

Promises an answer or a `Retry` whatever the far side does, that a redirect is not followed (it would take the key
elsewhere), and that the key is in neither. What an answer means is `judge`'s.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import tenacity

from sidecar.delivery.judge import Answer
from sidecar.delivery.outcome import Retry
from sidecar.delivery.secret import without
from sidecar.kit import frames

Sleep = Callable[[float], Awaitable[None]]
_QUICK_STOP = tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(2.0)
_QUICK_WAIT = tenacity.wait_exponential(multiplier=0.25, max=1.0)
_MAX_ANSWER_BYTES = 32_000_000


class Poster:
    """Posts over `session`, which is not its own."""

    def __init__(self, session: aiohttp.ClientSession, timeout_seconds: float, sleep: Sleep = asyncio.sleep) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._sleep = sleep

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        secret: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> Answer | Retry:
        """Post `body`. `secret` is blanked in the answer; `tls` stands in for the system's certificates."""
        tries = tenacity.AsyncRetrying(
            stop=_QUICK_STOP,
            wait=_QUICK_WAIT,
            retry=tenacity.retry_if_result(_is_worth_a_quick_try),
            retry_error_callback=_last,
            sleep=self._sleep,
        )
        answer: Answer | Retry = await tries(self._send, url, body, headers, secret, tls)
        return answer

    async def _send(
        self, url: str, body: bytes, headers: Mapping[str, str], secret: str, tls: ssl.SSLContext | None
    ) -> Answer | Retry:
        try:
            async with self._session.post(
                url,
                data=io.BytesIO(body),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                ssl=tls if tls is not None else True,
            ) as response:
                content = without(secret, await _read(response))
                return Answer(response.status, content, response.headers.get("Retry-After", ""))
        except TimeoutError as error:
            frames.clear(error)
            return Retry("timeout", f"no whole answer within {self._timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            frames.clear(error)
            return Retry(_reason_of(error), f"{type(error).__name__}: {error}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        content += chunk
        if len(content) > _MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer has more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _reason_of(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "unreachable"
    return "unreadable_answer" if isinstance(error, aiohttp.ClientResponseError) else "connection_lost"


def _is_worth_a_quick_try(answer: Answer | Retry) -> bool:
    if isinstance(answer, Retry):
        return answer.reason in ("unreachable", "connection_lost")
    return answer.status >= 500 and not answer.retry_after


def _last(state: tenacity.RetryCallState) -> object:
    return state.outcome.result() if state.outcome else None
