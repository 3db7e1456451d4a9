"""POST inputs as CloudEvents: one by one, in batches, or as the pairs of KServe's logger.

Owns the requests; what an event holds is `cloud_event`'s and `kserve`'s. Promises an outcome for every parcel whatever
the far side does, that both events of a pair count as one delivery, and that a repeat carries the same id and source,
by which a receiver tells it from a new event. Needs the extra `cloudevents`: whoever imports this does so late.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import aiohttp

from sidecar.delivery import cloud_event, kserve
from sidecar.delivery.cloudevents_options import CloudEventsOptions, KServeOptions
from sidecar.delivery.destination import Parcel
from sidecar.delivery.groups import post_groups
from sidecar.delivery.judge import Verdict, judge_status
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.posting import Poster, Sleep
from sidecar.delivery.secret import SecretOf, for_a_header, reveal
from sidecar.delivery.tls import Certificates
from sidecar.kit.clock import Clock

MAX_BATCH = 128
BATCH_HEADERS = {"content-type": "application/cloudevents-batch+json"}
_AT_ONCE = 8
"""Requests under way at one time where each carries one input."""


class Message(NamedTuple):
    """One request."""

    headers: Mapping[str, str]
    body: bytes


class Item(NamedTuple):
    """One input, as the requests that carry it; in batched mode its event alone."""

    place: int
    messages: tuple[Message, ...]


class Access(NamedTuple):
    """What one delivery is sent with."""

    token: str
    tls: ssl.SSLContext | None


class CloudEvents:
    """Posts to `url`. The session is not its own."""

    max_batch = MAX_BATCH

    def __init__(
        self,
        options: CloudEventsOptions,
        session: aiohttp.ClientSession,
        secret_of: SecretOf,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._options = options
        self._secret_of = secret_of
        self._clock = clock
        self._poster = Poster(session, options.timeout_seconds, sleep)
        self._certificates = Certificates(options.ca_file, options.certificate_file, options.key_file)
        self._write = _writer(options)

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Post `parcels`; once one has to wait, the rest are not sent."""
        access = await self._access()
        if not isinstance(access, Access):
            return [access] * len(parcels)
        written = [self._item(place, parcel) for place, parcel in enumerate(parcels)]
        items = [item for item in written if isinstance(item, Item)]
        outcomes: dict[int, Outcome] = {place: item for place, item in enumerate(written) if isinstance(item, Rejected)}
        is_batched = self._options.mode == "batched"
        groups = _batches(items, self._options.max_batch_bytes) if is_batched else [[item] for item in items]
        post = functools.partial(self._post, access=access)
        outcomes.update(await post_groups(groups, post, 1 if is_batched else _AT_ONCE))
        return [outcomes[place] for place in range(len(parcels))]

    async def close(self) -> None:
        """Nothing is held open: the session belongs to whoever gave it."""

    async def _access(self) -> Access | Retry | Rejected:
        place = self._options.token
        token = "" if place is None else for_a_header(await reveal(place, self._secret_of))
        if not isinstance(token, str):
            return token
        tls = await self._certificates.context()
        return tls if isinstance(tls, Retry) else Access(token, tls)

    def _item(self, place: int, parcel: Parcel) -> Item | Rejected:
        try:
            return Item(place, self._write(parcel))
        except (TypeError, ValueError) as error:  # of the JSON and of the header: neither repeats what it was given
            return Rejected("unencodable", f"the input cannot be written as an event: {type(error).__name__}")

    async def _post(self, group: Sequence[Item], access: Access) -> Verdict:
        """The requests of a group, one after the other; the first that fails decides."""
        authorization = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        for message in self._messages(group):
            headers = {**message.headers, **authorization}
            answer = await self._poster.post(self._options.url, message.body, headers, access.token, access.tls)
            if isinstance(answer, Retry):
                return Verdict([answer] * len(group))
            verdict = judge_status(answer, len(group), self._clock.now())
            if not isinstance(verdict.outcomes[0], Delivered):
                return verdict
        return Verdict([Delivered()] * len(group))

    def _messages(self, group: Sequence[Item]) -> tuple[Message, ...]:
        if self._options.mode != "batched":
            return group[0].messages
        body = b"[" + b",".join(item.messages[0].body for item in group) + b"]"
        return (Message(BATCH_HEADERS, body),)


def _batches(items: Sequence[Item], max_bytes: int) -> Iterator[list[Item]]:
    group: list[Item] = []
    size = len(b"[]")
    for item in items:
        more = len(item.messages[0].body) + len(b",")
        if group and size + more > max_bytes:
            yield group
            group, size = [], len(b"[]")
        group.append(item)
        size += more
    if group:
        yield group


def _writer(options: CloudEventsOptions) -> Callable[[Parcel], tuple[Message, ...]]:
    """What makes a parcel's requests."""
    to_message = cloud_event.binary if options.mode in ("binary", "kserve") else cloud_event.structured
    said = options.kserve or KServeOptions()
    service = kserve.Service(said.inference_service, said.namespace, said.component, said.endpoint)

    def write(parcel: Parcel) -> tuple[Message, ...]:
        if options.mode == "kserve":
            events = kserve.to_pair(parcel, service, options.source)
        else:
            events = (cloud_event.to_event(parcel, options.source, options.type, has_output=options.with_output),)
        messages = [to_message(event) for event in events]
        return tuple(Message(message.headers, message.body) for message in messages)

    return write
