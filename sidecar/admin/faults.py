"""The seam where whatever a request ran into becomes an answer with the contract's code."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import SQLAlchemyError

from sidecar.admin.envelope import Code, Refusal, answer
from sidecar.admin.parts import PARTS
from sidecar.errors import (
    CapacityError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    Problem,
    SidecarError,
    TransientError,
)

_KINDS = {
    "workflows": "workflow",
    "collectors": "collector",
    "inputs": "input",
    "concepts": "concept",
    "v1/keys": "key",
}
_MISSING = {
    "workflow": Code.WORKFLOW_DOES_NOT_EXIST,
    "input": Code.INPUT_DOES_NOT_EXIST,
    "concept": Code.CONCEPTS_INVALID_REQUEST,
    "key": Code.BAD_PATH,
}


@web.middleware
async def answer_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request's error become its answer."""
    events = request.app[PARTS].events
    try:
        return await handler(request)
    except (SidecarError, SQLAlchemyError, Refusal) as error:
        refusal = _refusal(error, _kind_of(request))
    except web.HTTPNotFound:
        refusal = Refusal(Code.BAD_PATH, f"there is nothing at {request.path}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = Refusal(Code.METHOD_NOT_ALLOWED, f"{request.method} is not possible here; possible: {allowed}")
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the admin API's one seam: a bug of ours must still be answered in the
        # contract's envelope, and be counted, not shown: a foreign error's text may repeat what was captured
        events.request_failed(request.method, request.path, error)
        return answer(Code.INTERNAL, "a fault of the sidecar's own: its log says more")
    events.request_refused(request.path, refusal.code.http_status, refusal.problems)
    response = answer(refusal.code, refusal.details)
    response.headers.update(refusal.headers)
    if isinstance(refusal.__cause__, web.RequestPayloadError):
        response.force_close()  # where the next request begins is not known
    return response


def _kind_of(request: web.Request) -> str:
    return next((kind for part, kind in _KINDS.items() if f"/{part}" in request.path), "")


def _refusal(error: Exception, kind: str) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ConfigurationError):
        return _of_configuration(error, kind)
    if isinstance(error, NotFoundError):
        return Refusal(_MISSING.get(kind, Code.COLLECTOR_MISSING), str(error))
    if isinstance(error, ConflictError):
        return Refusal(Code.WORKFLOW_DUPLICATE if kind == "workflow" else Code.DUPLICATE_KEY, str(error))
    if isinstance(error, CapacityError | TransientError):
        return Refusal(Code.UNAVAILABLE, str(error))
    if isinstance(error, SidecarError):
        return Refusal(Code.FAILURE, str(error))
    return Refusal(Code.UNAVAILABLE, "the database failed, nothing was changed: see the log, then try again")


def _of_configuration(error: ConfigurationError, kind: str) -> Refusal:
    problems = {problem.field: problem.message for problem in error.problems}
    return Refusal(_code_of(error.problems, kind), str(error), problems)


def _code_of(problems: tuple[Problem, ...], kind: str) -> Code:
    codes = {problem.code for problem in problems}
    if codes == {"no_workflow"}:
        return Code.WORKFLOW_DOES_NOT_EXIST
    if kind == "workflow":
        return Code.WORKFLOW_INVALID_GRAPH if codes == {"graph"} else Code.WORKFLOW_INVALID_ARGUMENT
    return Code.INVALID_REQUEST
