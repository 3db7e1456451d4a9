"""Real answers of the admin API, held against the models that `/openapi.json` is made from."""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel

from sidecar.admin.routes import ROUTES

OK = 200


def hold(method: str, path: str, status: int, answer: object) -> None:
    """Raises ValidationError where the answer is not what is said of it; passes over what nothing is said of."""
    model = _model_of(method, urlsplit(path).path)
    if model is not None and status == OK:
        model.model_validate_json(orjson.dumps(answer), strict=True)


@functools.cache
def _model_of(method: str, path: str) -> type[BaseModel] | None:
    for route in ROUTES:
        if route.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path):
            return route.answer
    return None
