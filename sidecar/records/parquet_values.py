"""Data as values for typed columns and back, with nothing lost. Pure; knows no Parquet library.

A tensor's numbers, or its texts, lie flat in one list beside the lengths of the lists they stood in (`dims`, empty for
a single one); what is neither, or not of one shape, is JSON. `whole` says that the numbers had no point.
What has no column of its own (regions, embeddings, place, metadata and more) is JSON in `rest`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sidecar.data import Json

KINDS = ("image", "video", "audio", "raw")
_EXACT = 2**53
"""Whole numbers up to it are floats without loss."""


def columns_of(wire: Json) -> dict[str, Any]:
    """The values of the columns, by name, of data in the JSON of the data model."""
    rest = dict(wire)
    columns: dict[str, Any] = {
        "text": _text(rest),
        "concepts": [_concept(each) for each in rest.pop("concepts", ())],
        "tensors": [_tensor(each) for each in rest.pop("tensors", ())],
        "media": [_medium(kind, rest.pop(kind)) for kind in KINDS if set(rest.get(kind, ())) & {"base64", "url"}],
    }
    return columns | {"rest": orjson.dumps(rest).decode() if rest else None}


def wire_of(columns: Mapping[str, Any]) -> Json:
    """The JSON of the data model from what `columns_of` gave, as any library reads it back."""
    wire: Json = {}
    if columns.get("text") is not None:
        wire["text"] = {"raw": columns["text"]}
    for medium in columns.get("media") or ():
        wire[medium["kind"]] = _medium_wire(medium)
    if columns.get("concepts"):
        wire["concepts"] = [dict(each) for each in columns["concepts"]]
    if columns.get("tensors"):
        wire["tensors"] = [_tensor_wire(each) for each in columns["tensors"]]
    rest = columns.get("rest")
    return wire | (orjson.loads(rest) if rest else {})


def _text(rest: Json) -> str | None:
    """Text that is nothing but text."""
    text = rest.get("text")
    return rest.pop("text")["raw"] if isinstance(text, dict) and text.keys() == {"raw"} else None


def _concept(wire: Json) -> Json:
    return {"id": wire["id"], "name": wire.get("name", ""), "value": float(wire["value"])}


def _medium(kind: str, wire: Json) -> Json:
    content = wire.get("base64")
    return {
        "kind": kind,
        "content": None if content is None else base64.b64decode(content),
        "url": wire.get("url"),
        "media_type": wire.get("media_type"),
        "allow_duplicate_url": wire.get("allow_duplicate_url"),
    }


def _medium_wire(medium: Mapping[str, Any]) -> Json:
    wire = {name: medium[name] for name in ("url", "media_type", "allow_duplicate_url") if medium[name] is not None}
    if medium["content"] is not None:
        wire["base64"] = base64.b64encode(medium["content"]).decode()
    return wire


def _tensor(wire: Json) -> Json:
    value = wire.get("value")
    dims: list[int] = []
    flat = _flat(value, dims)
    tensor: Json = {"name": wire.get("name", ""), "datatype": wire.get("datatype", ""), "shape": wire.get("shape", [])}
    tensor |= {"dims": dims, "numbers": None, "whole": None, "texts": None, "json": None}
    kinds = set(map(type, flat or ()))
    if kinds == {str}:
        return tensor | {"texts": flat}
    if kinds == {float} or (kinds == {int} and all(-_EXACT <= number <= _EXACT for number in flat or ())):
        return tensor | {"numbers": list(map(float, flat or ())), "whole": kinds == {int}}
    return tensor | {"dims": [], "json": orjson.dumps(value).decode()}


def _flat(value: object, dims: list[int]) -> list[Any] | None:
    """The items of nested lists, whose lengths are put into `dims`; None where these are not of one shape."""
    items: list[Any] = [value]
    while items and all(isinstance(item, list) for item in items):
        lengths = set(map(len, items))
        if len(lengths) != 1 or not items[0]:
            return None
        dims.append(lengths.pop())
        items = [inner for item in items for inner in item]
    return items


def _tensor_wire(tensor: Mapping[str, Any]) -> Json:
    wire = {name: tensor[name] for name in ("name", "datatype") if tensor[name]}
    if tensor["shape"]:
        wire["shape"] = list(tensor["shape"])
    return wire | {"value": _value(tensor)}


def _value(tensor: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    if tensor["json"] is not None:
        return orjson.loads(tensor["json"])
    items: Iterable[Any] = tensor["texts"] if tensor["numbers"] is None else tensor["numbers"]
    flat = list(map(int, items)) if tensor["whole"] else list(items)
    for length in reversed(tensor["dims"]):
        flat = [flat[at : at + length] for at in range(0, len(flat), length)]
    return flat[0]
