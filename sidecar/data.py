"""The data model that workflows work on: one input or output of a model, as in the Clarifai contract.

Owns the values and their JSON shape in both directions. Values are frozen; nothing here does I/O. Binary content is
`bytes` in memory and base64 in JSON. `to_wire` always writes a concept's `value`, also 0 (the official client reads a
missing one as 1.0). `tensors` and `raw` are ours: what the contract has no field for.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from sidecar.errors import ConfigurationError, Problem

Json = dict[str, Any]
T = TypeVar("T")
_BOX = ("top_row", "left_col", "bottom_row", "right_col")


class Concept(NamedTuple):
    """A label with its probability `value` in [0, 1]."""

    id: str
    value: float = 1.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, video or audio: its bytes, or an address that is never fetched unasked."""

    content: bytes = b""
    url: str = ""
    media_type: str = ""
    allow_duplicate_url: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    raw: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image with its own concepts; `box` is (top, left, bottom, right), each in [0, 1]."""

    id: str = ""
    box: tuple[float, float, float, float] | None = None
    concepts: tuple[Concept, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GeoPoint:
    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class Tensor:
    """One item's slice of a tensor, or any JSON value of a row: `value` is nested lists, a number, a string or null.

    `name` is "" for a protocol's unnamed instance, `datatype` is the protocol's own name ("FP32", "BYTES") or "".
    `shape` excludes the batch axis.
    """

    value: Any
    name: str = ""
    datatype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A body that no protocol decodes, as it was on the wire."""

    content: bytes
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """One input or one output. Empty means that no field holds anything."""

    text: Text | None = None
    image: Media | None = None
    video: Media | None = None
    audio: Media | None = None
    concepts: tuple[Concept, ...] = ()
    regions: tuple[Region, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    geo: GeoPoint | None = None
    tensors: tuple[Tensor, ...] = ()
    raw: Raw | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True if no field holds anything: what decides whether a workflow keeps an input."""
        return not (
            self.concepts or self.text or self.image or self.tensors or self.regions or self.metadata
            or self.embeddings or self.video or self.audio or self.geo or self.raw
        )  # fmt: skip

    def top_concept(self) -> Concept | None:
        """The concept with the largest value, the first of equals; None without concepts."""
        return max(self.concepts, key=lambda concept: concept.value, default=None)


def to_wire(data: Data) -> Json:
    """The JSON object of `data` in the contract's shape; empty fields are left out."""
    wire = {name: write(getattr(data, name)) for name, write in _WRITERS.items() if getattr(data, name)}
    if data.metadata:
        wire["metadata"] = dict(data.metadata)
    return wire


def concepts_to_wire(concepts: Sequence[Concept]) -> list[Json]:
    """Concepts as JSON objects; `value` is always written, `name` falls back to the id."""
    return [{"id": c.id, "name": c.name or c.id, "value": c.value} for c in concepts]


def _media_to_wire(media: Media) -> Json:
    wire: Json = {}
    if media.url:
        wire["url"] = media.url
    if media.content:
        wire["base64"] = _encode(media.content)
    if media.allow_duplicate_url:
        wire["allow_duplicate_url"] = True
    return wire


def _region_to_wire(region: Region) -> Json:
    wire: Json = {"id": region.id} if region.id else {}
    if region.box is not None:
        wire["region_info"] = {"bounding_box": dict(zip(_BOX, region.box, strict=True))}
    if region.concepts:
        wire["data"] = {"concepts": concepts_to_wire(region.concepts)}
    return wire


def _tensor_to_wire(tensor: Tensor) -> Json:
    value = {"base64": _encode(tensor.value)} if isinstance(tensor.value, bytes) else tensor.value
    wire: Json = {"value": value}
    if tensor.name:
        wire["name"] = tensor.name
    if tensor.datatype:
        wire["datatype"] = tensor.datatype
    if tensor.shape:
        wire["shape"] = list(tensor.shape)
    return wire


def _text_to_wire(text: Text) -> Json:
    return {key: value for key, value in (("raw", text.raw), ("url", text.url)) if value}


def _regions_to_wire(regions: Sequence[Region]) -> list[Json]:
    return [_region_to_wire(region) for region in regions]


def _embeddings_to_wire(embeddings: Sequence[Embedding]) -> list[Json]:
    return [{"vector": list(e.vector), "num_dimensions": len(e.vector)} for e in embeddings]


def _geo_to_wire(point: GeoPoint) -> Json:
    return {"geo_point": {"longitude": point.longitude, "latitude": point.latitude}}


def _tensors_to_wire(tensors: Sequence[Tensor]) -> list[Json]:
    return [_tensor_to_wire(tensor) for tensor in tensors]


def _raw_to_wire(raw: Raw) -> Json:
    return {"base64": _encode(raw.content), "media_type": raw.media_type}


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "image": _media_to_wire,
    "video": _media_to_wire,
    "audio": _media_to_wire,
    "text": _text_to_wire,
    "concepts": concepts_to_wire,
    "regions": _regions_to_wire,
    "embeddings": _embeddings_to_wire,
    "geo": _geo_to_wire,
    "tensors": _tensors_to_wire,
    "raw": _raw_to_wire,
}


def from_wire(wire: object, where: str = "data") -> Data:
    """Read the contract's JSON shape; fields we do not model are ignored, as the vendor's server does.

    Raises ConfigurationError naming the field when a known one has the wrong type.
    """
    source = _object(wire, where)
    return Data(
        text=_optional(source, "text", where, _text_from_wire),
        image=_optional(source, "image", where, _media_from_wire),
        video=_optional(source, "video", where, _media_from_wire),
        audio=_optional(source, "audio", where, _media_from_wire),
        concepts=_concepts_from_wire(source, where),
        regions=_each(source, "regions", where, _region_from_wire),
        embeddings=_each(source, "embeddings", where, _embedding_from_wire),
        geo=_optional(source, "geo", where, _geo_from_wire),
        tensors=_each(source, "tensors", where, _tensor_from_wire),
        raw=_optional(source, "raw", where, _raw_from_wire),
        metadata=_object(source.get("metadata") or {}, f"{where}.metadata"),
    )


def _fail(where: str, expected: str, got: object) -> ConfigurationError:
    return ConfigurationError(Problem(f"must be {expected}, not {type(got).__name__}", field=where))


def _object(value: object, where: str) -> Json:
    if not isinstance(value, dict):
        raise _fail(where, "an object", value)
    return value


def _named(source: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """The field `name`, written in snake_case or in camelCase; None when it is not there."""
    if name in source or "_" not in name:
        return source.get(name)
    first, *rest = name.split("_")
    return source.get(first + "".join(map(str.capitalize, rest)))


def _string(source: Mapping[str, Any], key: str, where: str) -> str:
    value = source.get(key) or ""
    if not isinstance(value, str):
        raise _fail(f"{where}.{key}", "a string", value)
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _fail(where, "a finite number", value)
    return float(value)


def _optional(source: Mapping[str, Any], key: str, where: str, read: Callable[[object, str], T]) -> T | None:
    value = _named(source, key)
    return None if value is None else read(value, f"{where}.{key}")


def _each(source: Mapping[str, Any], key: str, where: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
    values = source.get(key)
    if values is None:
        return ()
    if not isinstance(values, list):
        raise _fail(f"{where}.{key}", "a list", values)
    return tuple(read(value, f"{where}.{key}[{index}]") for index, value in enumerate(values))


def _text_from_wire(value: object, where: str) -> Text:
    source = _object(value, where)
    return Text(raw=_string(source, "raw", where), url=_string(source, "url", where))


def _media_from_wire(value: object, where: str) -> Media:
    source = _object(value, where)
    content = _decode(_string(source, "base64", where), f"{where}.base64")
    return Media(
        content=content,
        url=_string(source, "url", where),
        media_type=media_type_of(content),
        allow_duplicate_url=_named(source, "allow_duplicate_url") is True,
    )


def _concepts_from_wire(source: Mapping[str, Any], where: str) -> tuple[Concept, ...]:
    """As `to_wire` writes them in one go, as concepts are most of what is read; with a place for each fault else."""
    values = source.get("concepts")
    found: list[Concept] = []
    for value in values if isinstance(values, list) else (None,):
        if not isinstance(value, dict):
            break
        number, name, label = value.get("value"), value.get("id"), value.get("name")
        if type(number) is not float or type(name) is not str or type(label) is not str or not math.isfinite(number):
            break
        found.append(Concept(name, number, label))
    else:
        return tuple(found)
    return _each(source, "concepts", where, _concept_from_wire)


def _concept_from_wire(value: object, where: str) -> Concept:
    source = _object(value, where)
    number = source.get("value")
    return Concept(
        id=_string(source, "id", where),
        name=_string(source, "name", where),
        value=1.0 if number is None else _number(number, f"{where}.value"),
    )


def _region_from_wire(value: object, where: str) -> Region:
    source = _object(value, where)
    info = _object(_named(source, "region_info") or {}, f"{where}.region_info")
    return Region(
        id=_string(source, "id", where),
        box=_optional(info, "bounding_box", f"{where}.region_info", _box_from_wire),
        concepts=_each(
            _object(source.get("data") or {}, f"{where}.data"), "concepts", f"{where}.data", _concept_from_wire
        ),
    )


def _box_from_wire(value: object, where: str) -> tuple[float, float, float, float]:
    source = _object(value, where)
    top, left, bottom, right = (_number(_named(source, name) or 0.0, f"{where}.{name}") for name in _BOX)
    return (top, left, bottom, right)


def _embedding_from_wire(value: object, where: str) -> Embedding:
    vector = _object(value, where).get("vector") or []
    if not isinstance(vector, list):
        raise _fail(f"{where}.vector", "a list", vector)
    return Embedding(tuple(_number(number, f"{where}.vector") for number in vector))


def _geo_from_wire(value: object, where: str) -> GeoPoint:
    point = _object(_named(_object(value, where), "geo_point") or {}, f"{where}.geo_point")
    return GeoPoint(
        longitude=_number(point.get("longitude", 0.0), f"{where}.geo_point.longitude"),
        latitude=_number(point.get("latitude", 0.0), f"{where}.geo_point.latitude"),
    )


def _tensor_from_wire(value: object, where: str) -> Tensor:
    source = _object(value, where)
    shape = source.get("shape") or []
    if not isinstance(shape, list) or not all(isinstance(length, int) for length in shape):
        raise _fail(f"{where}.shape", "a list of integers", shape)
    content = source.get("value")
    if isinstance(content, dict) and set(content) == {"base64"}:
        content = _decode(_string(content, "base64", f"{where}.value"), f"{where}.value.base64")
    return Tensor(
        value=content,
        name=_string(source, "name", where),
        datatype=_string(source, "datatype", where),
        shape=tuple(shape),
    )


def _raw_from_wire(value: object, where: str) -> Raw:
    source = _object(value, where)
    content = _decode(_string(source, "base64", where), f"{where}.base64")
    return Raw(content=content, media_type=_string(source, "media_type", where))


def _decode(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(Problem(f"must be base64: {error}", field=where)) from error


MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"WAVE", 8, "audio/wav"),
    (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
    (b"ID3", 0, "audio/mpeg"),
    (b"ftyp", 4, "video/mp4"),
)


def media_type_of(content: bytes) -> str:
    """The media type that the first bytes say, or "" when they say none."""
    for magic, offset, media_type in MAGIC:
        if content.startswith(magic, offset):
            return media_type
    return ""


def from_bytes(content: bytes) -> Data:
    """Binary content as the field its first bytes call for; what they do not tell becomes `raw`."""
    media_type = media_type_of(content)
    media = Media(content=content, media_type=media_type)
    kind = media_type.partition("/")[0]
    if kind == "image":
        return Data(image=media)
    if kind == "audio":
        return Data(audio=media)
    if kind == "video":
        return Data(video=media)
    return Data(raw=Raw(content=content))
