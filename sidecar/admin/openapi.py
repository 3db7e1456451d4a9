"""`/openapi.json`: the admin API described by its own table of routes and the models that read its requests.

Nothing is written here a second time: paths, scopes and bodies are the routes', a route's summary is its handler's
docstring. Made once, when it is asked for first.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sidecar import __version__
from sidecar.admin.envelope import Code, plain

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"
_JSON = "application/json"
_OTHER_MEDIA = {
    "/content": "*/*",
    "/metrics": "text/plain",
    "/exchanges": "application/x-ndjson",
    "/tail": "text/event-stream",
}
_ENVELOPE: Json = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {
            "type": "object",
            "required": ["code", "description", "req_id", "http_status_code"],
            "properties": {
                "code": {"type": "integer", "enum": sorted({code.number for code in Code})},
                "description": {"type": "string"},
                "details": {"type": "string"},
                "req_id": {"type": "string"},
                "http_status_code": {"type": "integer"},
            },
        }
    },
}


async def openapi(request: web.Request) -> web.Response:
    """This description."""
    return plain(request.app[DOCUMENT]())


DOCUMENT: web.AppKey[functools.partial[Json]] = web.AppKey("openapi", functools.partial)


def describe(routes: tuple[Any, ...]) -> Json:
    """The OpenAPI 3.1 document of `routes`."""
    models: dict[type[BaseModel], None] = dict.fromkeys(route.body for route in routes if route.body)
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCE
    )  # fmt: skip
    paths: dict[str, Json] = {}
    for route in routes:
        body = references[route.body, "validation"] if route.body else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body)
    return {
        "openapi": "3.1.0",
        "info": {"title": "collector-sidecar", "version": __version__},
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Envelope": _ENVELOPE},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "also as `Authorization: Key …`"}
            },
        },
    }


def _operation(route: Any, body: Mapping[str, Any] | None) -> Json:  # noqa: ANN401 - the routes stand above this module
    said = inspect.getdoc(route.handler) or ""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query:
        parameters += _query(route.query)
    operation: Json = {"parameters": parameters, "responses": _answers(route)}
    if said:
        operation["summary"] = " ".join(said.partition("\n\n")[0].split())
    if route.scope is not None:
        operation["description"] = f"Needs the scope `{route.scope.value}`."
    if body is not None:
        operation["requestBody"] = {"required": route.method != "DELETE", "content": {_JSON: {"schema": body}}}
    return operation


def _query(query: type[BaseModel]) -> list[Json]:
    schema = query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(field)}
        for name, field in schema["properties"].items()
    ]


def _without_null(field: Json) -> Json:
    """A query has no null."""
    some = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    kept = {name: value for name, value in field.items() if name not in ("anyOf", "title", "default")}
    return {**(some[0] if some else {}), **kept}


def _answers(route: Any) -> Json:  # noqa: ANN401 - as above
    media = next((kind for end, kind in _OTHER_MEDIA.items() if route.path.endswith(end)), _JSON)
    enveloped = route.path.startswith("/v2")
    schema: Json = {"$ref": _REFERENCE.format(model="Envelope")} if enveloped else {"type": "object"}
    good: Json = {"description": "done", "content": {media: {"schema": schema} if media == _JSON else {}}}
    told = {"$ref": _REFERENCE.format(model="Envelope")}
    refused = {"description": "refused, and why", "content": {_JSON: {"schema": told}}}
    if route.path == "/readyz":
        refused = {"description": "not ready, and why", "content": {_JSON: {"schema": {"type": "object"}}}}
    statuses = sorted({code.http_status for code in Code} - {200})
    return {"200": good, **{str(status): refused for status in statuses}}
