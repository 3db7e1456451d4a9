"""Several data → one: how the outputs of a graph's last nodes become its result.

Nodes count in their order. Concepts are joined, the first of an id wins; so are regions that have an id, and metadata
by name. Embeddings, tensors and regions without id are joined, an equal one is not repeated. Of a field that holds one
value the first that is there wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sidecar.data import Concept, Data, Region

T = TypeVar("T")


def merge(parts: Sequence[Data]) -> Data:
    """`parts` as one; a single part is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    metadata: dict[str, Any] = {}
    for part in parts:
        metadata = {**part.metadata, **metadata}
    return Data(
        text=_first(part.text for part in parts),
        image=_first(part.image for part in parts),
        video=_first(part.video for part in parts),
        audio=_first(part.audio for part in parts),
        concepts=_by_id(part.concepts for part in parts),
        regions=_regions(part.regions for part in parts),
        embeddings=_distinct(part.embeddings for part in parts),
        geo=_first(part.geo for part in parts),
        tensors=_distinct(part.tensors for part in parts),
        raw=_first(part.raw for part in parts),
        metadata=metadata,
    )


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


def _by_id(groups: Iterable[tuple[Concept, ...]]) -> tuple[Concept, ...]:
    joined: dict[str, Concept] = {}
    for group in groups:
        for concept in group:
            joined.setdefault(concept.id, concept)
    return tuple(joined.values())


def _regions(groups: Iterable[tuple[Region, ...]]) -> tuple[Region, ...]:
    joined: list[Region] = []
    ids: set[str] = set()
    for region in _distinct(groups):
        if not region.id or region.id not in ids:
            ids.add(region.id)
            joined.append(region)
    return tuple(joined)


def _distinct(groups: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """What a group holds, less what an earlier group held already; repeats within one group are meant."""
    joined: tuple[T, ...] = ()
    for group in groups:
        earlier = joined
        joined += tuple(value for value in group if value not in earlier)
    return joined
