"""The admin server put together: its routes, in one table, and what every request passes through."""

from __future__ import annotations

import functools

from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.admin import backtest, checking, collectors, concepts, inputs, jobs, workflows
from sidecar.admin.auth import authorise, has_token
from sidecar.admin.envelope import plain
from sidecar.admin.faults import answer_faults
from sidecar.admin.parts import PARTS, Parts

_APP = "/users/{user_id}/apps/{app_id}"
_BOTH = (f"/v2{_APP}", "/v2")
_CONTRACT: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/collectors", collectors.post),
    ("PATCH", "/collectors", collectors.patch),
    ("GET", "/collectors", collectors.list_all),
    ("DELETE", "/collectors", collectors.delete),
    ("GET", "/collectors/{id}", collectors.get),
    ("POST", "/workflows", workflows.post),
    ("GET", "/workflows", workflows.list_all),
    ("GET", "/workflows/{id}", workflows.get),
    ("POST", "/concepts/{concept_id}/relations", concepts.post),
    ("GET", "/concepts/{concept_id}/relations", concepts.list_all),
    ("GET", "/concepts/relations", concepts.list_all),
    ("DELETE", "/concepts/{concept_id}/relations", concepts.delete),
    ("POST", "/inputs", inputs.post),
    ("GET", "/inputs", inputs.list_all),
    ("GET", "/inputs/{id}", inputs.get),
    ("DELETE", "/inputs", inputs.delete),
)
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def build_app(parts: Parts) -> web.Application:
    """The application for the admin port; whoever calls runs it."""
    app = web.Application(middlewares=[answer_faults, authorise])
    app[PARTS] = parts
    for method, path, handler in _CONTRACT:
        for prefix in _BOTH:
            app.router.add_route(method, prefix + path, handler)
    app.router.add_get(f"/v1{_APP}/inputs/{{id}}/content", inputs.content)
    app.router.add_get("/v1/collectors", collectors.list_everywhere)
    app.router.add_get("/v1/jobs", jobs.list_all)
    app.router.add_post("/v1/jobs/retry", jobs.retry)
    app.router.add_post("/v1/jobs/discard", jobs.discard)
    app.router.add_get("/v1/ledger", _ledger)
    app.router.add_get("/v1/traffic", _traffic)
    app.router.add_post("/v1/check", checking.check)
    app.router.add_post("/v1/backtest", backtest.backtest)
    app.router.add_post("/v1/record", backtest.start)
    app.router.add_get("/v1/record", backtest.status)
    app.router.add_delete("/v1/record", backtest.stop)
    app.router.add_get("/v1/record/exchanges", backtest.download)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/readyz", _readiness)
    app.router.add_get("/metrics", _metrics)
    for path, (media_type, content) in parts.pages.items():
        app.router.add_get(path, functools.partial(_page, media_type, content))
    return app


async def _ledger(request: web.Request) -> web.Response:
    return plain(await request.app[PARTS].ledger())


async def _traffic(request: web.Request) -> web.Response:
    """Calls and what was kept of them, by source and by collector; the last hour by the minute."""
    parts = request.app[PARTS]
    return plain(parts.traffic([collector.key for collector in parts.catalog.snapshot.collectors]))


async def _health(_request: web.Request) -> web.Response:
    return plain({"status": "ok"})


async def _readiness(request: web.Request) -> web.Response:
    """503 while any part has a reason; whoever does not bring the token is told which parts, and not the reasons."""
    said = await request.app[PARTS].readiness()
    reasons = {part: reason if has_token(request) else "see the log" for part, reason in said.items() if reason}
    return plain({"status": "not ready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)


async def _metrics(request: web.Request) -> web.Response:
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=await request.app[PARTS].metrics(), headers=headers)


async def _page(media_type: str, content: bytes, _request: web.Request) -> web.Response:
    return web.Response(body=content, headers=_PAGE_HEADERS | {"Content-Type": media_type})
