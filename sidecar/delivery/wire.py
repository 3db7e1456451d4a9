"""Parcels as the body of POST inputs: pure.

Owns the limits of one request and the place of what the contract has no field for. `tensors` and `raw` go as JSON into
`text.raw` when the input has no text and no media, else under `metadata.sidecar`; the same JSON as in `data.to_wire`,
so that nothing is lost. Source: the Clarifai Collectors contract, "POST inputs".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from sidecar.data import Data, Json, to_wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Rejected
from sidecar.kit.json import dumps

MAX_INPUTS = 128
MAX_REQUEST_BYTES = 128_000_000
MAX_IMAGE_BYTES = 20_000_000
_OURS = ("tensors", "raw")
_CONTENT = ("text", "image", "video", "audio")
_HEAD = b'{"inputs":['
_TAIL = b'],"input_id_conflict_resolution":"SKIP"}'
_ENVELOPE_BYTES = len(_HEAD) + len(_TAIL)


class Item(NamedTuple):
    """One input as JSON, and its place among the parcels."""

    place: int
    input_id: str
    body: bytes
    has_video: bool = False


def data_to_post(data: Data) -> Json:
    """The contract's `data` object with everything that `data` holds."""
    wire = to_wire(data)
    ours = {name: wire.pop(name) for name in _OURS if name in wire}
    if not ours:
        return wire
    if not any(wire.get(name) for name in _CONTENT):
        return wire | {"text": {"raw": orjson.dumps(ours).decode()}}
    metadata, key = dict(wire.get("metadata", {})), "sidecar"
    while key in metadata:
        key += "_"
    return wire | {"metadata": metadata | {key: ours}}


def to_item(place: int, parcel: Parcel, dataset_ids: Sequence[str] = ()) -> Item | Rejected:
    """One input as JSON, or why no request can carry it. `dataset_ids` come on top of the parcel's own."""
    image_bytes = len(parcel.data.image.content) if parcel.data.image else 0
    if image_bytes >= MAX_IMAGE_BYTES:
        return Rejected("too_large", f"the image has {image_bytes} bytes, the limit is {MAX_IMAGE_BYTES}")
    datasets = list(dict.fromkeys((*parcel.dataset_ids, *dataset_ids)))
    try:
        wire = {"id": parcel.input_id, "data": data_to_post(parcel.data)}
        body = dumps(wire | {"dataset_ids": datasets} if datasets else wire)
    except orjson.JSONEncodeError as error:
        return Rejected("unencodable", f"the input cannot be written as JSON: {error}")
    if len(body) + _ENVELOPE_BYTES >= MAX_REQUEST_BYTES:
        return Rejected("too_large", f"the input has {len(body)} bytes of JSON, the limit is {MAX_REQUEST_BYTES}")
    return Item(place, parcel.input_id, body, parcel.data.video is not None)


def to_groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut inputs into requests within the limits, in order; a video goes alone."""
    group: list[Item] = []
    size = _ENVELOPE_BYTES
    for item in items:
        is_full = len(group) == MAX_INPUTS or size + len(item.body) >= MAX_REQUEST_BYTES
        if group and (is_full or item.has_video or group[-1].has_video):
            yield group
            group, size = [], _ENVELOPE_BYTES
        group.append(item)
        size += len(item.body) + len(b",")
    if group:
        yield group


def join(group: Iterable[Item]) -> bytes:
    """The body of one request."""
    return _HEAD + b",".join(item.body for item in group) + _TAIL
