"""A parcel as a message of a broker: its body, its key, and where it goes. Pure.

The body is one JSON object, whatever the broker:

    format            "input/1"
    input_id          the same at every try              exchange_id, input_index    of which exchange, and which of it
    collector, caller, model, version                    texts; blank where they are not known
    started_at        seconds since the epoch            latency_seconds, status     of the answer; 0: there was none
    sample_exchanges, sample_inputs                      the rates that let it in: a count is divided by their product
    headers           trace ids and allow-listed headers, by lower-case name
    dataset_ids       a list
    data              what the collector posts           output                      the model's; null: it sent none

`data` and `output` have the shape of the data model, as `GET /v2/inputs` shows it. Names may be added, none is changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from string import Formatter
from typing import NamedTuple

import orjson

from sidecar.data import to_wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Outcome, Rejected
from sidecar.kit.json import dumps

FORMAT = "input/1"
CONTENT_TYPE = "application/json"
LONGEST_TOKEN = 40
"""Characters of one token; a longer one is cut, and ends with a hash of the whole."""
PLACES = ("collector", "caller", "model", "version")
"""What an address may name."""
_UNSAFE = re.compile(rb"[^0-9A-Za-z_-]")
_BLANK = "-"
_HASH_BYTES = 8


class Message(NamedTuple):
    """One input to publish; `places` says for which parcels, as one may be given twice."""

    places: list[int]
    parcel: Parcel
    body: bytes

    @property
    def input_id(self) -> str:
        return self.parcel.input_id


def to_messages(parcels: Sequence[Parcel]) -> tuple[list[Message], dict[int, Outcome]]:
    """A message for each input, and an outcome, by its place, for each parcel that no message can carry."""
    messages: dict[str, Message] = {}
    outcomes: dict[int, Outcome] = {}
    for place, parcel in enumerate(parcels):
        known = messages.get(parcel.input_id)
        if known is not None:
            known.places.append(place)
            continue
        try:
            messages[parcel.input_id] = Message([place], parcel, body_of(parcel))
        except orjson.JSONEncodeError as error:
            outcomes[place] = Rejected("unencodable", f"the input cannot be written as JSON: {error}")
    return list(messages.values()), outcomes


def body_of(parcel: Parcel) -> bytes:
    """The record as JSON. Raises orjson's JSONEncodeError for data that JSON cannot say."""
    details = parcel.details()
    record = {
        "format": FORMAT,
        "input_id": parcel.input_id,
        "exchange_id": parcel.exchange_id,
        "input_index": parcel.input_index,
        "collector": parcel.collector,
        "caller": parcel.caller,
        "model": parcel.model,
        "version": parcel.version,
        "started_at": details.started_at,
        "latency_seconds": details.latency_seconds,
        "status": details.status,
        "sample_exchanges": details.sample_exchanges,
        "sample_inputs": details.sample_inputs,
        "headers": details.headers,
        "dataset_ids": parcel.dataset_ids,
        "data": orjson.Fragment(parcel.wire) if parcel.wire else to_wire(parcel.data),
        "output": None if parcel.output_wire is None else orjson.Fragment(parcel.output_wire),
    }
    return dumps(record)


def key_of(parcel: Parcel) -> str:
    """The same for all calls of one caller to one model, and for no others."""
    return f"{token(parcel.caller)}/{token(parcel.model)}"


def address_of(template: str, parcel: Parcel) -> str:
    """`template` with the parcel's own names in its places, each as one token."""
    return template.format_map({place: token(getattr(parcel, place)) for place in PLACES})


def longest_address(template: str) -> int:
    """How many characters `address_of` can give. Raises ValueError when the template is none."""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from error
    length = 0
    for literal, name, form, conversion in pieces:
        if name is not None and (name not in PLACES or form or conversion):
            raise ValueError(f"may name {', '.join(f'{{{place}}}' for place in PLACES)}, and nothing else in braces")
        length += len(literal.encode()) + (0 if name is None else LONGEST_TOKEN)
    return length


def token(text: str) -> str:
    """`text` as one word of an address, which no separator and no wildcard of any broker is in.

    Other characters than ASCII letters, digits, `_` and `-` are percent-encoded; a blank text is `-`, and a `-` is not.
    """
    if text in ("", _BLANK):
        return "%2D" if text else _BLANK
    safe = _UNSAFE.sub(lambda found: f"%{found[0][0]:02X}".encode(), text.encode()).decode()
    if len(safe) <= LONGEST_TOKEN:
        return safe
    digest = hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()
    return f"{safe[: LONGEST_TOKEN - len(digest) - 1]}~{digest}"
