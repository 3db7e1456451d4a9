"""`sidecar status` shows both sums of a sidecar that runs, and says plainly when none does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar.cli import main

SUMS = {"matched": 1200, "filtered": 1000, "delivered": 190, "dead": 1, "dropped": 4, "pending": 5}
LEDGER = {
    "exchanges": {"seen": 5000, "unwanted": 3700, "taken": 1290, "open": 3, "lost": {"queue_full": 7}},
    "total": SUMS,
    "reasons": {"dropped": {"no_output": 4}, "dead": {"key_invalid": 1}, "pending": {"": 5}},
    "collectors": {"unsure-digits": SUMS},
}


async def run_main(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


@pytest.fixture
def serve(aiohttp_server: Callable[[web.Application], Any]) -> Callable[..., Any]:
    async def start(token: str = "") -> TestServer:
        async def ledger(request: web.Request) -> web.Response:
            if token and request.headers.get("Authorization") != f"Key {token}":
                raise web.HTTPUnauthorized
            return web.json_response(LEDGER)

        app = web.Application()
        app.router.add_get("/v1/ledger", ledger)
        server: TestServer = await aiohttp_server(app)
        return server

    return start


async def test_both_sums_and_each_collector_are_shown(
    serve: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = await serve()
    assert await run_main("status", "--admin", f"127.0.0.1:{server.port}") == 0
    shown = capsys.readouterr().out
    for words in (
        "5,000",
        "3,700",
        "1,290",
        "lost: queue_full 7",
        "dropped: no_output 4",
        "unsure-digits",
        "1,200",
        "190",
    ):
        assert words in shown


async def test_the_token_is_sent(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = await serve("hush")
    assert await run_main("status", "--admin", f"127.0.0.1:{server.port}") == 1
    assert "wants its token: set SIDECAR_ADMIN_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("SIDECAR_ADMIN_TOKEN", "hush")
    assert await run_main("status", "--admin", f"127.0.0.1:{server.port}") == 0


async def test_no_sidecar_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run_main("status", "--admin", "127.0.0.1:9") == 1
    said = capsys.readouterr().err
    assert "no sidecar answers at 127.0.0.1:9" in said
    assert "--admin" in said


async def test_what_is_no_sidecar_is_told_from_none_at_all(
    aiohttp_server: Callable[[web.Application], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = await aiohttp_server(web.Application())
    assert await run_main("status", "--admin", f"127.0.0.1:{server.port}") == 1
    assert "is no sidecar's admin API" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "120"])
async def test_the_tables_fit_a_terminal(
    serve: Callable[..., Any], columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    server = await serve()
    await run_main("status", "--admin", f"127.0.0.1:{server.port}")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert sum("unsure-digits" in line and "1,200" in line for line in lines) == 1
