"""Every answer's envelope, `{status: {code, description, details, req_id, http_status_code}, …}`, and its codes.

Codes, names and HTTP statuses are the contract's table (clarifai-collectors.md). Owns the one place where an error
becomes an answer: what is shown is the error's own message, never a stack.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from sidecar.data import Json


class Code(enum.Enum):
    """(code, HTTP status, description)."""

    SUCCESS = (10000, 200, "Ok")
    MIXED_STATUS = (10010, 200, "Mixed Success")
    FAILURE = (10020, 400, "Failure")
    INTERNAL = (10020, 500, "Failure")
    UNAVAILABLE = (10020, 503, "Failure")
    CONN_THROTTLED = (11005, 429, "Too many requests")
    CONN_INSUFFICIENT_SCOPES = (11007, 403, "Insufficient scopes")
    CONN_KEY_INVALID = (11008, 401, "Invalid API key or Invalid API key/application pair")
    CONN_KEY_NOT_FOUND = (11009, 401, "API key not found")
    BAD_REQUEST_FORMAT = (11100, 400, "Bad request format")
    BAD_PATH = (11101, 404, "Invalid request path")
    INVALID_REQUEST = (11102, 400, "Invalid request")
    TOO_LARGE = (11102, 413, "Invalid request")
    PRECONDITION_FAILED = (11102, 412, "Invalid request")
    METHOD_NOT_ALLOWED = (11103, 405, "Method not allowed")
    WORKFLOW_DUPLICATE = (22100, 409, "Duplicate workflow")
    WORKFLOW_DOES_NOT_EXIST = (22102, 404, "Workflow does not exist")
    WORKFLOW_INVALID_ARGUMENT = (22104, 400, "Invalid workflow argument")
    WORKFLOW_INVALID_GRAPH = (22107, 400, "Invalid workflow graph")
    INPUT_SUCCESS = (30000, 200, "Download complete")
    INPUT_PENDING = (30001, 200, "Download pending")
    INPUT_DUPLICATE = (30100, 400, "Duplicate input")
    INPUT_DOES_NOT_EXIST = (30102, 404, "Input does not exist")
    INPUT_INVALID_ARGUMENT = (30104, 400, "Invalid input argument")
    INPUT_INVALID_REQUEST = (39999, 400, "Invalid input request")
    CONCEPTS_INVALID_REQUEST = (40003, 404, "Concept relation does not exist")
    DUPLICATE_KEY = (40010, 409, "Object has a duplicate ID")
    COLLECTOR_MISSING = (52000, 404, "Collector does not exist")

    @property
    def number(self) -> int:
        return self.value[0]

    @property
    def http_status(self) -> int:
        return self.value[1]

    @property
    def description(self) -> str:
        return self.value[2]


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is answered with `code`; `problems` is field → what is wrong with it, for log and details."""

    def __init__(
        self,
        code: Code,
        details: str,
        problems: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.details = details
        self.problems = dict(problems or {"": details})
        self.headers = headers or {}
        super().__init__(details)


def status_of(code: Code, details: str = "") -> Json:
    """A status object, as it stands in an envelope or beside one input."""
    status: Json = {"code": code.number, "description": code.description}
    return status | {"details": details} if details else status


def answer(code: Code = Code.SUCCESS, details: str = "", **content: Any) -> web.Response:  # noqa: ANN401 - any JSON
    """The answer with its envelope around `content`."""
    status = status_of(code, details) | {"req_id": secrets.token_hex(16), "http_status_code": code.http_status}
    return plain({"status": status, **content}, code.http_status)


def plain(content: object, http_status: int = 200) -> web.Response:
    """JSON without an envelope."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    body = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=http_status, content_type="application/json", headers=headers)
