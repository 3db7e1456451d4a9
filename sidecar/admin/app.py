"""The admin server put together: its routes, and what every request passes through."""

from __future__ import annotations

import functools

from aiohttp import web

from sidecar.admin.auth import SCOPES, TRIES, authorise
from sidecar.admin.faults import answer_faults
from sidecar.admin.keyring import KEYS, Keyring
from sidecar.admin.openapi import DOCUMENT, describe
from sidecar.admin.parts import PARTS, Parts
from sidecar.admin.queries import read_query
from sidecar.admin.routes import ROUTES, Route
from sidecar.admin.state import page
from sidecar.admin.tail import STREAMS, end_streams
from sidecar.admin.tries import FailedTries


def build_app(parts: Parts) -> web.Application:
    """The application for the admin port; whoever calls runs it."""
    app = web.Application(middlewares=[answer_faults, authorise])
    app[PARTS] = parts
    app[KEYS] = Keyring(parts.database, parts.events, parts.clock)
    app[TRIES] = FailedTries(parts.clock.monotonic)
    app[SCOPES] = {(route.method, route.path): route.scope for route in ROUTES}
    app[STREAMS] = {}
    app[DOCUMENT] = functools.partial(functools.cache(describe), ROUTES)
    app.on_startup.append(_open)
    app.on_shutdown.append(end_streams)
    for route in ROUTES:
        add = app.router.add_get if route.method == "GET" else functools.partial(app.router.add_route, route.method)
        add(route.path, functools.partial(_answer, route))
    for path, (media_type, content) in parts.pages.items():
        app.router.add_get(path, functools.partial(page, media_type, content))
    return app


async def _answer(route: Route, request: web.Request) -> web.StreamResponse:
    read_query(request, route.query)
    return await route.handler(request)


async def _open(app: web.Application) -> None:
    await app[KEYS].open()
