"""POST inputs to a Clarifai app, or to anything that speaks the same call.

Owns the request; how it is tried is `posting`'s, what an answer means `judge`'s. Promises an outcome for every parcel
whatever the far side does, and that the key is in no outcome and no log.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote, urlsplit

import aiohttp
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sidecar.delivery import wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.groups import post_groups
from sidecar.delivery.judge import Verdict, judge
from sidecar.delivery.outcome import Outcome, Rejected, Retry
from sidecar.delivery.posting import Poster, Sleep
from sidecar.delivery.secret import SecretOf, for_a_header, reveal_stored
from sidecar.kit.clock import Clock
from sidecar.store.secrets import REFERENCE


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
        self._secret_of = secret_of
        self._clock = clock
        self._poster = Poster(session, options.timeout_seconds, sleep)
        user, app = quote(options.user_id, ""), quote(options.app_id, "")
        self._url = f"{options.base_url}/v2/users/{user}/apps/{app}/inputs"

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
        outcomes.update(await post_groups(wire.to_groups(items), functools.partial(self._post, key=key)))
        return [outcomes[place] for place in range(len(parcels))]

    async def close(self) -> None:
        """Nothing is held open: the session belongs to whoever gave it."""

    async def _key(self) -> str | Retry | Rejected:
        reference = self._options.key_id
        return for_a_header(await reveal_stored(reference, self._secret_of)) if reference else ""

    async def _post(self, group: Sequence[wire.Item], key: str) -> Verdict:
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Key {key}"
        answer = await self._poster.post(self._url, wire.join(group), headers, key)
        if isinstance(answer, Retry):
            return Verdict([answer] * len(group))
        return judge(answer, [item.input_id for item in group], self._clock.now())
