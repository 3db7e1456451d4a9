"""`rate-limit` (*ours*): passes at most `n` inputs a `period`, by a token bucket.

The bucket holds `burst` tokens (as many as `n` unless said), is full at first and gains one each period/n; an input
takes one or is filtered. So in any time t at most burst + t · n / period pass. Time is the exchange's start; one that
comes late finds the bucket as it is now and gets no token twice. `per: caller` and `per: concept` have a bucket for
each caller, or for each concept that is the one with the largest value (data without concepts is then a fault): 10,000
of them, then the one that passed longest ago is full again. A bucket survives a restart, so an hour's limit holds over
two lives.

Kept as one number, the time at which the bucket will be full again (the generic cell rate algorithm, ITU-T I.371,
annex A, which is a token bucket).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.memory import Entry, Memory
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Params
from sidecar.workflow.operators.remembering import REMEMBERED, SECONDS, Per, Remembering

_TOLERANCE_SECONDS = 1e-6
"""What floats of this size cannot tell apart."""


class RateLimitParams(Params):
    n: int = Field(ge=1)
    period: Literal["second", "minute", "hour", "day"]
    burst: int | None = Field(default=None, ge=1)
    per: Per = "all"


class RateLimit(Remembering):
    params_model = RateLimitParams

    def __init__(self, node: Node, params: RateLimitParams) -> None:
        self.node = node.id
        self._per = params.per
        self._token_seconds = SECONDS[params.period] / params.n
        self._most_seconds = self._token_seconds * (params.burst or params.n) + _TOLERANCE_SECONDS

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        name = self.name_of(self._per, inputs[0], item)
        memory = self.memory_of(item, Memory)
        known = memory.get(name)
        full_at = item.started_at if known is None else max(known.at, item.started_at)
        full_at += self._token_seconds
        if full_at - item.started_at > self._most_seconds:
            return EMPTY
        item.remember(memory.put(Entry(name, full_at), REMEMBERED, back_seconds=self._token_seconds))
        return inputs[0]
