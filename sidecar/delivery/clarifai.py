"""POST inputs to a Clarifai app, or to anything that speaks the same call.

Owns the request and the few quick tries inside one lease; what an answer means is `judge`'s, the long waits belong to
the job. Promises an outcome for every parcel whatever the far side does, and that the key is in no outcome and no log.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated
from urllib.parse import quote, urlsplit

import aiohttp
import tenacity
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sidecar.delivery import wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.judge import Answer, Verdict, judge
from sidecar.delivery.outcome import Outcome, Rejected, Retry
from sidecar.errors import SidecarError, TransientError
from sidecar.kit.clock import Clock
from sidecar.store.secrets import REFERENCE

SecretOf = Callable[[str], Awaitable[str | None]]
Sleep = Callable[[float], Awaitable[None]]
_QUICK_STOP = tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(2.0)
_QUICK_WAIT = tenacity.wait_exponential(multiplier=0.25, max=1.0)
_MAX_ANSWER_BYTES = 32_000_000
_SHORTEST_KEY = 8


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("write http://host or https://host, with a path if the API has one")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user or password: name a key in key_id")
    return url.rstrip("/")


def _check_key_id(reference: str) -> str:
    if reference and not REFERENCE.fullmatch(reference):
        raise ValueError("is no reference to a stored secret: write the key itself in post_inputs_key_id")
    return reference


class ClarifaiOptions(BaseModel):
    """The options of `destination: {clarifai: {…}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: Annotated[str, AfterValidator(_check_base_url)] = "https://api.clarifai.com"
    user_id: str = Field(min_length=1)
    app_id: str = Field(min_length=1)
    key_id: Annotated[str, AfterValidator(_check_key_id)] = ""
    """A reference to a stored secret; blank means the collector's `post_inputs_key_id`."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600, strict=True)
    dataset_ids: tuple[str, ...] = ()


class ClarifaiApp:
    """Posts to `/v2/users/{user_id}/apps/{app_id}/inputs` under `base_url`. The session is not its own."""

    max_batch = wire.MAX_INPUTS

    def __init__(
        self,
        options: ClarifaiOptions,
        session: aiohttp.ClientSession,
        secret_of: SecretOf,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._options = options
        self._session = session
        self._secret_of = secret_of
        self._clock = clock
        self._sleep = sleep
        user, app = quote(options.user_id, ""), quote(options.app_id, "")
        self._url = f"{options.base_url}/v2/users/{user}/apps/{app}/inputs"
        self._timeout = aiohttp.ClientTimeout(total=options.timeout_seconds)

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Post `parcels` in as few requests as the limits allow; once one has to wait, the rest are not sent."""
        key = await self._key()
        if not isinstance(key, str):
            return [key] * len(parcels)
        encoded = [wire.to_item(place, parcel, self._options.dataset_ids) for place, parcel in enumerate(parcels)]
        items = [item for item in encoded if isinstance(item, wire.Item)]
        outcomes: dict[int, Outcome] = {
            place: item for place, item in enumerate(encoded) if not isinstance(item, wire.Item)
        }
        outcomes.update(await self._post_all(items, key))
        return [outcomes[place] for place in range(len(parcels))]

    async def close(self) -> None:
        """Nothing is held open: the session belongs to whoever gave it."""

    async def _key(self) -> str | Outcome:
        reference = self._options.key_id
        if not reference:
            return ""
        try:
            key = await self._secret_of(reference)
        except TransientError as error:
            return Retry("key_unavailable", str(error), error.retry_after_seconds)
        except SidecarError as error:
            return Rejected("key_unreadable", str(error))
        if key is None:
            return Rejected("key_unknown", "the collector's key is not stored: give it again in post_inputs_key_id")
        if not (key.isascii() and key.isprintable()):
            return Rejected(
                "key_invalid", "the collector's key holds characters that no header can carry: give it again"
            )
        return key

    async def _post_all(self, items: Sequence[wire.Item], key: str) -> dict[int, Outcome]:
        """An outcome for each item by its place. A batch that was refused as a whole is posted again in halves."""
        outcomes: dict[int, Outcome] = {}
        groups = deque(wire.to_groups(items))
        while groups:
            group = groups.popleft()
            verdict = await self._post(group, key)
            if verdict.concerns_the_batch:
                middle = len(group) // 2
                groups.extendleft((group[middle:], group[:middle]))
                continue
            outcomes.update((item.place, outcome) for item, outcome in zip(group, verdict.outcomes, strict=True))
            if all(isinstance(outcome, Retry) for outcome in verdict.outcomes):
                outcomes.update((item.place, verdict.outcomes[0]) for rest in groups for item in rest)
                break
        return outcomes

    async def _post(self, group: Sequence[wire.Item], key: str) -> Verdict:
        tries = tenacity.AsyncRetrying(
            stop=_QUICK_STOP,
            wait=_QUICK_WAIT,
            retry=tenacity.retry_if_result(_is_worth_a_quick_try),
            retry_error_callback=_last,
            sleep=self._sleep,
        )
        answer: Answer | Retry = await tries(self._send, wire.join(group), key)
        if isinstance(answer, Retry):
            return Verdict([answer] * len(group))
        return judge(answer, [item.input_id for item in group], self._clock.now())

    async def _send(self, body: bytes, key: str) -> Answer | Retry:
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Key {key}"
        try:
            async with self._session.post(
                self._url, data=io.BytesIO(body), headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                content = _without(key, await _read(response))
                return Answer(response.status, content, response.headers.get("Retry-After", ""))
        except TimeoutError:
            return Retry("timeout", f"no whole answer within {self._options.timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Retry(_reason_of(error), f"{type(error).__name__}: {error}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        content += chunk
        if len(content) > _MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer has more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _without(key: str, content: bytes) -> bytes:
    """An answer that echoes the key must not carry it into a log; blanking a very short one would garble the JSON."""
    return content.replace(key.encode(), b"***") if len(key) >= _SHORTEST_KEY else content


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
