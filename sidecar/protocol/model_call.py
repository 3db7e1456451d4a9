"""The other direction: a workflow's node asks a model server. Writes the call, judges and reads the answer. Pure.

Promises that whatever a server sends ends in data, in AwayError (worth another try, says nothing about the input) or in
RefusedError (about this input, for good).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from sidecar.data import Data
from sidecar.errors import ConfigurationError, PermanentError, Problem
from sidecar.kit.validation import faults_of
from sidecar.model_server import ModelServer
from sidecar.protocol.asked import AwayError, Params, Question, RefusedError, Written
from sidecar.protocol.call import UndecodedError
from sidecar.protocol.content import parse_json
from sidecar.protocol.model_shapes import shape_of
from sidecar.protocol.output_fields import named, read_mapped

_AWAY: Mapping[int, str] = {
    401: "key_refused",
    403: "key_refused",
    407: "key_refused",
    408: "timeout",
    425: "unavailable",
    429: "throttled",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
}
_SHOWN_CHARACTERS = 200
_MISSING = "missing"


class Answer(NamedTuple):
    """An HTTP answer, read to its end and without content coding."""

    status: int
    body: bytes
    retry_after_seconds: float | None = None


def problems_of_params(server: ModelServer, params: Mapping[str, Any], *, is_partial: bool = False) -> list[Problem]:
    """What is wrong with a node's `params`, laid over the server's own, and with the server's shape.

    Those of the server alone are `is_partial`: what is missing there a node may give.
    """
    try:
        read_params(server, params)
    except ConfigurationError as error:
        return [each for each in error.problems if not (is_partial and each.code == _MISSING)]
    return []


def read_params(server: ModelServer, params: Mapping[str, Any]) -> Params:
    """A node's `params`, laid over the server's own, as its shape wants them. Raises ConfigurationError."""
    shape = shape_of(server)
    try:
        return shape.params.model_validate({**server.params, **params})
    except ValidationError as error:
        codes = [details["type"] for details in error.errors(include_url=False)]
        faults = faults_of(error, shape.params, "params")
    raise ConfigurationError(
        [Problem(each.message, each.field, code=code) for each, code in zip(faults, codes, strict=True)]
    )


def question_of(server: ModelServer, data: Data, params: Mapping[str, Any]) -> Question:
    """What `server` is asked about `data`. Raises ConfigurationError for params that its shape does not take."""
    return Question(data, read_params(server, params), server.name or server.id, server.input_name, server.labels)


def write_call(server: ModelServer, question: Question) -> Written:
    """The call. Raises RefusedError for what the server's shape cannot carry."""
    try:
        return shape_of(server).write(question)
    except PermanentError as error:
        raise RefusedError("unsendable", str(error)) from error


def read_answer(server: ModelServer, question: Question, answer: Answer) -> tuple[Data, ...]:
    """The parts of the model's output, to be merged. Raises AwayError or RefusedError."""
    shape = shape_of(server)
    document, fault = _parsed(answer.body)
    if not fault:
        shape.judge(document)
    _judge_status(answer)
    if fault:
        raise RefusedError("unreadable", f"the model's answer cannot be read: {fault}")
    try:
        if server.output:
            return (read_mapped(shape.document(document, question), server.output, server.labels),)
        parts = shape.read(document, question)
    except UndecodedError as error:
        raise RefusedError("unreadable", f"the model's answer cannot be read: {error}") from error
    return tuple(replace(part, concepts=named(part.concepts, server.labels)) for part in parts)


def _parsed(body: bytes) -> tuple[object, str]:
    """The answer's JSON, or why there is none."""
    try:
        return parse_json(body), ""
    except UndecodedError as error:
        return None, str(error)


def _judge_status(answer: Answer) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    message = f"the model answered {status}: {_shown(answer.body)}"
    reason = _AWAY.get(status, "failed" if status >= 500 else "")
    if reason:
        raise AwayError(reason, message, answer.retry_after_seconds)
    raise RefusedError("refused", message)


def _shown(body: bytes) -> str:
    text = body[:_SHOWN_CHARACTERS].decode("utf-8", errors="replace")
    return text if text.isprintable() else repr(text)
