"""`novelty-filter` (*ours*): passes its input on where its embedding is far from all that passed before.

Reads the first of `embeddings`, such as a model node gives; data without one is a fault. Far is at least `min_distance`
from every embedding that is remembered, by `metric`:

    cosine      1 − a · b / (|a| |b|)     in [0, 2]; an embedding of zeros has no direction: a fault
    euclidean   |a − b|

The newest `most` that passed are remembered (2,000 unless said, at most 20,000), in 32-bit floats; each look compares
with them all, so both its time and the memory, 4 bytes a number, grow with it. Embeddings of another length, say of a
new model, are near none. Survives a restart. Needs the extra `novelty`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.memory import Entry, name_of_input
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Params
from sidecar.workflow.operators.remembering import Remembering
from sidecar.workflow.operators.vectors import Embeddings, missing

MOST_NUMBERS = 8192
"""Of one embedding."""
Numbers = tuple[float, ...]


class NoveltyFilterParams(Params):
    min_distance: float = Field(gt=0)
    metric: Literal["cosine", "euclidean"] = "cosine"
    most: int = Field(default=2_000, ge=1, le=20_000)


class NoveltyFilter(Remembering):
    params_model = NoveltyFilterParams
    reads = frozenset(("embeddings",))
    keeps_content = True

    def __init__(self, node: Node, params: NoveltyFilterParams) -> None:
        self.node = node.id
        self._most = params.most
        self._content_of, self._are_near = _metric(params)

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        content = self._content_of(_first_of(inputs[0]))
        memory = self.memory_of(item, Embeddings)
        if memory.near(content, self._are_near):
            return EMPTY
        name = name_of_input(item.exchange_id.hex(), item.input_index)
        item.remember(memory.put(Entry(name, item.started_at, content=content), self._most))
        return inputs[0]


def _first_of(data: Data) -> Numbers:
    if not data.embeddings or not data.embeddings[0].vector:
        raise PermanentError("cannot measure: there is no embedding")
    vector = data.embeddings[0].vector
    if len(vector) > MOST_NUMBERS:
        raise PermanentError(f"cannot measure: the embedding has {len(vector)} numbers, more than {MOST_NUMBERS}")
    return vector


def _metric(params: NoveltyFilterParams) -> tuple[Callable[[Numbers], bytes], Callable[[Any, Any], Any]]:
    """What is remembered of an embedding, and which rows are near one. Raises ConfigurationError without the extra."""
    try:
        import numpy as np
    except ImportError as error:
        raise missing("novelty-filter", "novelty") from error
    limit = params.min_distance

    def direction_of(vector: Numbers) -> bytes:
        length = float(np.linalg.norm(vector))
        if not length:
            raise PermanentError("cannot measure: the embedding is all zeros")
        return (np.asarray(vector) / length).astype(Embeddings.dtype).tobytes()

    def place_of(vector: Numbers) -> bytes:
        return np.asarray(vector, Embeddings.dtype).tobytes()

    def are_near_by_cosine(rows: Any, row: Any) -> Any:  # noqa: ANN401 - numpy's arrays
        return 1.0 - rows @ row < limit

    def are_near_by_place(rows: Any, row: Any) -> Any:  # noqa: ANN401 - as above
        return np.linalg.norm(rows - row, axis=1) < limit

    return (direction_of, are_near_by_cosine) if params.metric == "cosine" else (place_of, are_near_by_place)
