"""`/openapi.json`: the admin API described by its own table of routes and the models that read its requests.

Nothing is written here a second time: paths, scopes and bodies are the routes', a route's summary is its handler's
docstring. Made once, when it is asked for first.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from sidecar import __version__
from sidecar.admin.envelope import Code, plain
from sidecar.admin.queries import OwnerId

Json = dict[str, Any]
_READ: JsonSchemaMode = "validation"
_WRITTEN: JsonSchemaMode = "serialization"
_OWNER = ("user_id", "app_id")
_OWNER_ID = TypeAdapter(OwnerId).json_schema()
_ANY_ID = {"type": "string", "minLength": 1}
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
    models = dict.fromkeys((route.body, _READ) for route in routes if route.body)
    models |= dict.fromkeys((route.answer, _WRITTEN) for route in routes if route.answer)
    references, definitions = models_json_schema(list(models), ref_template=_REFERENCE)
    paths: dict[str, Json] = {}
    for route in routes:
        body, answer = references.get((route.body, _READ)), references.get((route.answer, _WRITTEN))
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body, answer)
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


def _operation(route: Any, body: Json | None, answer: Json | None) -> Json:  # noqa: ANN401 - the routes stand above
    said = inspect.getdoc(route.handler) or ""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _OWNER_ID if name in _OWNER else _ANY_ID}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    parameters += _query(route.query)
    operation: Json = {"parameters": parameters, "responses": _answers(route, answer)}
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
        {"name": name, "in": "query", "required": False, "schema": _or_blank(_without_null(_whole(field, schema)))}
        for name, field in schema["properties"].items()
    ]


def _whole(field: Json, schema: Json) -> Json:
    """With what it refers to written out."""
    text = json.dumps(field)
    for name, definition in schema.get("$defs", {}).items():
        text = text.replace(f'{{"$ref": "#/$defs/{name}"}}', json.dumps(definition))
    found: Json = json.loads(text)
    return found


def _or_blank(field: Json) -> Json:
    """What is blank counts as not given."""
    if field.get("type") == "string" and "enum" not in field and not _refuses_blank(field.get("pattern", "")):
        return field
    kept = {name: field[name] for name in ("description",) if name in field}
    return {"anyOf": [{name: value for name, value in field.items() if name not in kept}, {"const": ""}], **kept}


def _refuses_blank(pattern: str) -> bool:
    return re.search(pattern, "") is None


def _without_null(field: Json) -> Json:
    """A query has no null."""
    some = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    kept = {name: value for name, value in field.items() if name not in ("anyOf", "title", "default")}
    return {**(some[0] if len(some) == 1 else {"anyOf": some} if some else {}), **kept}


def _answers(route: Any, answer: Json | None) -> Json:  # noqa: ANN401 - as above
    media = next((kind for end, kind in _OTHER_MEDIA.items() if route.path.endswith(end)), _JSON)
    enveloped = route.path.startswith("/v2")
    schema = {"$ref": _REFERENCE.format(model="Envelope")} if enveloped else answer or {"type": "object"}
    good: Json = {"description": "done", "content": {media: {"schema": schema} if media == _JSON else {}}}
    told = {"$ref": _REFERENCE.format(model="Envelope")}
    refused = {"description": "refused, and why", "content": {_JSON: {"schema": told}}}
    if route.path == "/readyz":
        refused = {"description": "not ready, and why", "content": {_JSON: {"schema": answer or {}}}}
    statuses = sorted({code.http_status for code in Code} - {200})
    return {"200": good, **{str(status): refused for status in statuses}}
