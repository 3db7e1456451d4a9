"""An input or an output as one row of named cells, for formats of tables; and its binary content, for those that keep
that apart. Pure.

A tensor is a cell under its name, `value` without one; text, addresses and binary content (base64) are cells under the
name of their kind. Concepts are a cell each, holding the probability, where there is no tensor that says them already.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import orjson

from sidecar.data import Json

MOST_COLUMNS = 4096
"""A longer list is one cell, in JSON."""
_MEDIA = ("image", "video", "audio", "raw")
_WHOLE = ("regions", "embeddings", "geo")


class Binary(NamedTuple):
    content: bytes
    media_type: str


def row_of(wire: Json) -> dict[str, Any]:
    """The row of data in the JSON of the data model; cells are any JSON value."""
    row: dict[str, Any] = {}
    for tensor in wire.get("tensors", ()):
        value = tensor.get("value")
        _add(row, tensor.get("name") or "value", value["base64"] if _is_binary(value) else value)
    text = wire.get("text", {})
    said = text.get("raw") or text.get("url")
    if said and said not in row.values():
        _add(row, "text", said)
    for kind in _MEDIA:
        if kind in wire:
            _add(row, kind, wire[kind].get("url") or wire[kind].get("base64", ""))
    if not wire.get("tensors"):
        for concept in wire.get("concepts", ()):
            _add(row, concept["id"], concept["value"])
    for kind in _WHOLE:
        if kind in wire:
            _add(row, kind, wire[kind])
    return row


def flat_row_of(wire: Json) -> dict[str, Any]:
    """The same with a list's items in cells of their own, `name_0` and so on, and anything deeper as JSON text."""
    row: dict[str, Any] = {}
    for name, value in row_of(wire).items():
        if isinstance(value, list) and 0 < len(value) <= MOST_COLUMNS:
            for place, item in enumerate(value):
                _add(row, f"{name}_{place}", _plain(item))
        else:
            _add(row, name, _plain(value))
    return row


def binary_of(wire: Json) -> Binary | None:
    """The content of a medium or of an undecoded body; None where there is none."""
    for kind in _MEDIA:
        content = wire.get(kind, {}).get("base64")
        if content:
            return Binary(base64.b64decode(content), wire[kind].get("media_type") or "application/octet-stream")
    return None


def _add(row: dict[str, Any], name: str, value: object) -> None:
    free, number = name, 1
    while free in row:
        number += 1
        free = f"{name}_{number}"
    row[free] = value


def _is_binary(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"base64"}


def _plain(value: object) -> object:
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value
