"""How the sidecar is: its ledger, its health, its metrics; and the static page."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from aiohttp import web

from sidecar.admin.auth import may_read
from sidecar.admin.envelope import plain
from sidecar.admin.parts import PARTS, Calls
from sidecar.collector import Collector, RedactRule
from sidecar.data import Data
from sidecar.redaction.detectors import UnredactableError
from sidecar.redaction.rules import Redaction

_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def ledger(request: web.Request) -> web.Response:
    return plain(await request.app[PARTS].ledger())


async def traffic(request: web.Request) -> web.Response:
    """Calls and what was kept of them, by source and by collector, by the minute for an hour; and which models' calls
    pass, collected or not.

    A caller is named as the collectors of its model redact it.
    """
    parts = request.app[PARTS]
    collectors = parts.catalog.snapshot.collectors
    shown = functools.partial(_shown, _redactions(collectors))
    return plain(parts.traffic([collector.key for collector in collectors], shown))


def _redactions(collectors: Iterable[Collector]) -> Mapping[str, Redaction]:
    """Model → the rules of all its collectors together."""
    rules: dict[str, dict[RedactRule, None]] = {}
    for collector in collectors:
        rules.setdefault(collector.source.model_id, {}).update(dict.fromkeys(collector.redact))
    return {model: Redaction(tuple(found)) for model, found in rules.items() if found}


def _shown(redactions: Mapping[str, Redaction], source: Calls) -> Calls:
    redaction = redactions.get(source[1])
    if redaction is None:
        return source
    caller, model, version = source
    try:
        left = redaction.input(Data(metadata={"caller": caller, "model": model, "version": version})).metadata
    except UnredactableError:
        left = {}
    return (str(left.get("caller", "")), model, str(left.get("version", "")))


async def health(_request: web.Request) -> web.Response:
    return plain({"status": "ok"})


async def readiness(request: web.Request) -> web.Response:
    """503 while any part has a reason; whoever may not read is told which parts, and not the reasons."""
    said, is_reader = await request.app[PARTS].readiness(), may_read(request)
    reasons = {part: reason if is_reader else "see the log" for part, reason in said.items() if reason}
    return plain({"status": "not ready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)


async def metrics(request: web.Request) -> web.Response:
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=await request.app[PARTS].metrics(), headers=headers)


async def page(media_type: str, content: bytes, _request: web.Request) -> web.Response:
    return web.Response(body=content, headers=_PAGE_HEADERS | {"Content-Type": media_type})
