"""What a node asks of a model server, and what each shape of call has to offer for it. Values and errors only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from sidecar.data import Data
from sidecar.errors import PermanentError, TransientError
from sidecar.kit.json import dumps

JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}


class AwayError(TransientError):
    """The model cannot be asked now, whatever the input; `reason` is one of a few words, for metrics."""

    def __init__(self, reason: str, message: str, retry_after_seconds: float | None = None) -> None:
        self.reason = reason
        super().__init__(message, retry_after_seconds)


class RefusedError(PermanentError):
    """The model will never answer for this input: `refused`, `unreadable` (its answer) or `unsendable` (the input)."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Params(BaseModel):
    """A node's parameters for one shape, as people write them; an unknown one is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Question(NamedTuple):
    """One piece of data to be asked about. `params` is an instance of the shape's own model."""

    data: Data
    params: Any
    model: str = ""
    """What the server itself calls the model."""
    input_name: str = ""
    labels: tuple[str, ...] = ()


class Written(NamedTuple):
    """A call as it goes out."""

    body: bytes
    headers: Mapping[str, str] = JSON_HEADERS


def no_judgement(answer: object) -> None:
    """`judge` of a shape whose answers say nothing beyond their HTTP status."""


class ModelShape(NamedTuple):
    """How one kind of server is asked. `write` raises PermanentError, the readers UndecodedError or RefusedError."""

    params: type[Params]
    write: Callable[[Question], Written]
    read: Callable[[Any, Question], tuple[Data, ...]]
    """The answer's parts, to be merged: one for most shapes, one a node for a workflow."""
    document: Callable[[Any, Question], Any]
    """What a server's own output mapping is applied to."""
    judge: Callable[[object], None] = no_judgement
    """Looks at the JSON of any answer, before its HTTP status counts. Raises AwayError."""
    scheme: str = "Bearer"
    """How `Authorization` names the key."""


def whole(answer: object, question: Question) -> object:
    """`document` of a shape whose answer is mapped as it is."""
    return answer


def to_json(request: object) -> bytes:
    """The body of a call. Raises PermanentError for what JSON cannot say."""
    try:
        return dumps(request)
    except orjson.JSONEncodeError as error:
        raise PermanentError(f"the input cannot be written as JSON: {error}") from error
