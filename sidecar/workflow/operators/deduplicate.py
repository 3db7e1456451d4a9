"""`deduplicate` (*ours*): passes its input on unless an equal one passed before, or with `by` a similar one.

Looks at the original input wherever the node stands in the graph, or at what the node reads with `on: node`; without
`node_inputs` the node reads `$input`.

    by: exact   the content is the same, byte for byte, by a hash: every field of the data but its metadata
    by: image   the image is nearly the same: of its 64-bit perceptual hash at most `max_distance` bits differ (8 unless
                said; 0 to about 6 are the same picture smaller, compressed or brighter, unrelated ones differ by 20)
    by: text    the text is nearly the same: its similarity is at least `min_similarity` (0.8 unless said)

The last two are in `near_duplicates` and need the extra `near-duplicates`. What is without content is a fault. The
newest `most` that passed are remembered (100,000 unless said, by image or text 10,000, which is also what each look
compares with), for `within_seconds` of the exchanges' time if said, else for good; a repeat does not make it longer.
Survives a restart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self

import orjson
from pydantic import Field, model_validator

from sidecar.collector import Node
from sidecar.data import Data, to_wire
from sidecar.errors import PermanentError
from sidecar.memory import Entry, Memory, name_of_input
from sidecar.workflow.item import Item
from sidecar.workflow.operators.near_duplicates import Likeness, images, texts
from sidecar.workflow.operators.operator import EMPTY, Ground, Params
from sidecar.workflow.operators.remembering import Remembering

MOST = {"exact": 100_000, "image": 10_000, "text": 10_000}
MAX_DISTANCE = 8
MIN_SIMILARITY = 0.8


class DeduplicateParams(Params):
    by: Literal["exact", "image", "text"] = "exact"
    on: Literal["input", "node"] = "input"
    max_distance: int | None = Field(default=None, ge=0, le=32)
    min_similarity: float | None = Field(default=None, gt=0, le=1)
    most: int | None = Field(default=None, ge=1, le=100_000)
    within_seconds: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.max_distance is not None and self.by != "image":
            raise ValueError("max_distance is for `by: image`")
        if self.min_similarity is not None and self.by != "text":
            raise ValueError("min_similarity is for `by: text`")
        return self


class Deduplicate(Remembering):
    params_model = DeduplicateParams
    default_input = "$input"

    def __init__(self, node: Node, params: DeduplicateParams) -> None:
        self.node = node.id
        self._params = params
        self._most = params.most or MOST[params.by]
        self._likeness = _likeness_of(params)
        self.keeps_content = self._likeness is not None

    @classmethod
    def on(cls, ground: Ground, node: Node, params: Any) -> Self:  # noqa: ANN401 - an instance of params_model
        operator = super().on(ground, node, params)
        if operator.keeps_content:  # what it remembers is of another kind
            operator.place = operator.place._replace(operator=f"{operator.place.operator} by {params.by}")
        return operator

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        data = item.input if self._params.on == "input" else inputs[0]
        if self._likeness is None:
            memory, entry, same = self._exactly(data, item)
        else:
            memory, entry, same = self._nearly(self._likeness, data, item)
        if any(self._is_recent(each, item) for each in same):
            return EMPTY
        item.remember([memory.forget(each.name) for each in same])
        item.remember(memory.put(entry, self._most))
        return inputs[0]

    def _exactly(self, data: Data, item: Item) -> tuple[Memory, Entry, list[Entry]]:
        memory = self.memory_of(item, Memory)
        name = self.memories.name_of(_content_of(data))
        known = memory.get(name)
        return memory, Entry(name, item.started_at), [] if known is None else [known]

    def _nearly(self, likeness: Likeness, data: Data, item: Item) -> tuple[Memory, Entry, list[Entry]]:
        memory = self.memory_of(item, likeness.kind)
        signature = likeness.signature_of(data)
        entry = Entry(name_of_input(item.exchange_id.hex(), item.input_index), item.started_at, content=signature)
        found = [memory.get(name) for name in memory.near(signature, likeness.are_near)]
        return memory, entry, [each for each in found if each is not None]

    def _is_recent(self, known: Entry, item: Item) -> bool:
        within = self._params.within_seconds
        return within is None or item.started_at - known.at < within


def _likeness_of(params: DeduplicateParams) -> Likeness | None:
    if params.by == "image":
        return images(MAX_DISTANCE if params.max_distance is None else params.max_distance)
    if params.by == "text":
        return texts(params.min_similarity or MIN_SIMILARITY)
    return None


def _content_of(data: Data) -> bytes:
    content = replace(data, metadata={}) if data.metadata else data
    if content.is_empty:
        raise PermanentError("cannot compare: the input has no content")
    return orjson.dumps(to_wire(content), option=orjson.OPT_SORT_KEYS)
