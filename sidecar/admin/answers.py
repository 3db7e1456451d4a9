"""What the answers under `/v1` hold, as pydantic models: what `/openapi.json` says of them, to the last field.

A test holds real answers against them: nothing may stand in an answer that is not here, and nothing may be missing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.admin.scopes import Scope


class Answer(BaseModel):
    """Every field is always there, and no other."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Delivery(Answer):
    """How a job stands with one destination; times are seconds since the epoch."""

    destination: str
    state: Literal["queued", "leased", "dead"]
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str


class Job(Answer):
    """A pending or dead job without its content; from `state` on, of the destination that decides."""

    id: int
    exchange_id: str
    input_index: int
    collector: str
    caller: str
    model: str
    version: str
    created_at: float
    state: Literal["queued", "leased", "dead"]
    queued_at: float
    retry_at: float
    attempts: int
    reason: str
    detail: str
    destinations: list[Delivery]


class Jobs(Answer):
    jobs: list[Job]
    next_before: int | None


class Sums(Answer):
    """matched = filtered + delivered + dead + dropped + pending."""

    matched: int
    filtered: int
    delivered: int
    dead: int
    dropped: int
    pending: int


class Exchanges(Answer):
    """seen = unwanted + taken + open + the sum of lost; `relays` is how many have answered just now."""

    seen: int
    unwanted: int
    taken: int
    open: int
    lost: dict[str, int]
    relays: int


class Ledger(Answer):
    exchanges: Exchanges
    total: Sums
    reasons: dict[str, dict[str, int]]
    collectors: dict[str, Sums]


class Key(Answer):
    id: str
    name: str
    scopes: list[Scope]
    created_at: str
    created_by: str
    rotated_at: str | None


class Keys(Answer):
    keys: list[Key]


class KeyWithToken(Answer):
    key: Key
    token: str


class RevokedKey(Answer):
    revoked: Key


class Event(Answer):
    id: int
    at: str
    kind: str
    who: str
    subject: str
    collector: str
    before: Any
    after: Any


class Events(Answer):
    events: list[Event]
    next_before: int | None


class Setting(Answer):
    name: str
    option: str
    variable: str
    value: str
    origin: str = Field(alias="from")
    default: str
    help: str
    secret: bool


class Settings(Answer):
    settings: list[Setting]
