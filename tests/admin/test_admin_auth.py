"""Who may ask: with a token, and without one."""

from __future__ import annotations

import pytest
from support.admin import Admin

from sidecar.kit.addresses import is_loopback

COLLECTOR = {"collectors": [{"id": "c", "source": {"model": "m"}, "pre_queue_random_sample": 1}]}


@pytest.mark.parametrize(
    ("header", "http", "code"),
    [
        ("Key correct-token", 200, 10000),
        ("Bearer correct-token", 200, 10000),
        ("bearer correct-token", 200, 10000),
        ("Key wrong-token", 401, 11009),
        ("Key correct-token2", 401, 11009),
        ("Key correct-tok\u00e9n", 401, 11009),
        ("Basic correct-token", 401, 11008),
        ("correct-token", 401, 11008),
        ("Key ", 401, 11008),
        (None, 401, 11008),
    ],
)
async def test_a_token(locked_admin: Admin, header: str | None, http: int, code: int) -> None:
    headers = {"Authorization": header} if header else {}
    status, answer = await locked_admin.ask("GET", "/v2/collectors", headers=headers)
    assert (status, answer["status"]["code"]) == (http, code)
    assert "correct-token" not in str(answer) + locked_admin.shop.log.getvalue()


@pytest.mark.parametrize("path", ["/v1/ledger", "/metrics", "/v2/nowhere", "/v1/users/u/apps/a/inputs/i/content"])
async def test_all_that_holds_data_needs_the_token(locked_admin: Admin, path: str) -> None:
    assert (await locked_admin.ask("GET", path))[0] == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/app.js", "/app.css"])
async def test_health_and_the_page_itself_are_open(locked_admin: Admin, path: str) -> None:
    async with locked_admin.session.get(locked_admin.url + path) as response:
        assert response.status == 200


async def test_reasons_are_for_those_who_bring_the_token(locked_admin: Admin) -> None:
    locked_admin.readiness["policies"] = "policies/a.yaml:3: is wrong"
    for header, said in (("Key correct-token", "policies/a.yaml:3: is wrong"), ("Key wrong", "see the log")):
        status, answer = await locked_admin.ask("GET", "/readyz", headers={"Authorization": header})
        assert (status, answer["reasons"]) == (503, {"policies": said})


@pytest.mark.parametrize(
    ("headers", "http"),
    [
        ({}, 200),
        ({"Host": "localhost:9901"}, 200),
        ({"Host": "[::1]:9901"}, 200),
        ({"Host": "rebound.example:9901"}, 403),
        ({"Host": "127.0.0.1.example"}, 403),
        ({"Host": "[127.0.0.1"}, 403),
        ({"Origin": "https://example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:9901", "Origin": "http://localhost:9901"}, 200),
        ({"Host": "localhost:9901", "Origin": "http://localhost:9902"}, 403),
    ],
)
async def test_without_a_token_no_other_sites_page_may_change(admin: Admin, headers: dict[str, str], http: int) -> None:
    status, answer = await admin.ask("POST", "/v2/collectors", COLLECTOR, headers)
    assert status == http
    assert bool(admin.shop.catalog.snapshot.collectors) == (http == 200)
    if http == 403:
        assert answer["status"]["code"] == 11007


async def test_a_rebound_name_may_not_read_either(admin: Admin) -> None:
    assert (await admin.ask("GET", "/v2/collectors", headers={"Host": "rebound.example"}))[0] == 403
    assert (await admin.ask("GET", "/v2/collectors", headers={"Origin": "https://example.com"}))[0] == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("LOCALHOST", True),
        ("10.0.0.1", False),
        ("127.evil.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
