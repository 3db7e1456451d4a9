"""Every route has a scope, and is refused without it; whoever guesses tokens has to wait."""

from __future__ import annotations

import pytest
from support.admin import Admin

from sidecar.admin.routes import ROUTES, Route
from sidecar.admin.scopes import Scope
from sidecar.admin.tries import AT_ONCE, MOST_ADDRESSES, SECONDS_EACH, FailedTries, place_of

TOKEN = {"Authorization": "Key correct-token"}
WRONG = {"Authorization": "Key wrong-token"}
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}


def path_of(route: Route) -> str:
    return route.path.format(user_id="local", app_id="main", id="x", concept_id="x")


async def token_for(admin: Admin, *scopes: Scope) -> str:
    body = {"name": "test", "scopes": [scope.value for scope in scopes]}
    status, made = await admin.ask("POST", "/v1/keys", body, TOKEN)
    assert status == 200
    return str(made["token"])


def test_only_health_needs_no_scope() -> None:
    assert {(route.method, route.path) for route in ROUTES if route.scope is None} == OPEN


async def test_every_route_is_refused_without_its_scope(locked_admin: Admin) -> None:
    lacking = {scope: await token_for(locked_admin, *(set(Scope) - {scope})) for scope in Scope}
    before = locked_admin.shop.catalog.snapshot
    for route in ROUTES:
        if route.scope is None:
            continue
        tries = ((None, 401, 11008), (WRONG, 401, 11009))
        narrow = ({"Authorization": f"Bearer {lacking[route.scope]}"}, 403, 11007)
        for headers, http, code in (*tries, narrow):
            status, answer = await locked_admin.ask(route.method, path_of(route), None, headers)
            assert (status, answer["status"]["code"]) == (http, code), route
            assert (answer["status"]["http_status_code"], answer.keys()) == (http, {"status"})
        locked_admin.shop.clock.advance(SECONDS_EACH)
    assert locked_admin.shop.catalog.snapshot == before


async def test_a_key_may_what_its_scope_says(locked_admin: Admin) -> None:
    asked = {
        Scope.READ: ("GET", "/v2/collectors", None),
        Scope.WRITE: ("POST", "/v1/jobs/retry", {"all": True}),
        Scope.INPUTS: ("POST", "/v2/inputs", {"inputs": [{"id": "i", "data": {"text": {"raw": "x"}}}]}),
    }
    for scope, (method, path, body) in asked.items():
        headers = {"Authorization": f"Key {await token_for(locked_admin, scope)}"}
        assert (await locked_admin.ask(method, path, body, headers))[0] == 200, scope


async def test_head_needs_what_get_needs(locked_admin: Admin) -> None:
    async with locked_admin.session.head(f"{locked_admin.url}/v1/ledger") as response:
        assert response.status == 401
    async with locked_admin.session.head(f"{locked_admin.url}/v1/ledger", headers=TOKEN) as response:
        assert response.status == 200


async def test_wrong_tokens_run_out_and_come_back_with_time(locked_admin: Admin) -> None:
    for _ in range(AT_ONCE):
        assert (await locked_admin.ask("GET", "/v1/ledger", headers=WRONG))[0] == 401
    async with locked_admin.session.get(f"{locked_admin.url}/v1/ledger", headers=TOKEN) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, str(int(SECONDS_EACH)))
        assert (await response.json())["status"]["code"] == 11005
    assert (await locked_admin.ask("GET", "/v1/ledger"))[0] == 401
    async with locked_admin.session.get(f"{locked_admin.url}/healthz") as response:
        assert response.status == 200
    locked_admin.shop.clock.advance(SECONDS_EACH)
    assert (await locked_admin.ask("GET", "/v1/ledger", headers=TOKEN))[0] == 200
    counters = locked_admin.shop.events.counters
    assert counters.get("sidecar_admin_tokens_refused_total") == AT_ONCE
    assert counters.get("sidecar_admin_tokens_not_looked_at_total") == 1
    said = locked_admin.shop.log.getvalue()
    assert said.count("wrong token, one too many") == 1
    assert "wrong-token" not in said


def test_one_address_does_not_wait_for_another_and_few_are_remembered() -> None:
    tries = FailedTries(lambda: 0.0)
    for _ in range(AT_ONCE):
        tries.failed("10.0.0.1")
    assert tries.wait_seconds("10.0.0.1") == SECONDS_EACH
    assert tries.wait_seconds("10.0.0.2") == 0
    for number in range(MOST_ADDRESSES):
        tries.failed(f"other {number}")
    assert tries.wait_seconds("10.0.0.1") == 0


@pytest.mark.parametrize(
    ("peer", "place"),
    [
        (("10.0.0.1", 5), "10.0.0.1"),
        (("::ffff:10.0.0.1", 5, 0, 0), "10.0.0.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", "unix"),
        (None, "unix"),
    ],
)
def test_the_place_that_tries_are_counted_by(peer: object, place: str) -> None:
    assert place_of(peer) == place


@pytest.mark.parametrize(
    ("site", "http"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
async def test_a_browser_says_from_where_it_comes(admin: Admin, site: str, http: int) -> None:
    status, _ = await admin.ask("POST", "/v1/jobs/retry", {"all": True}, {"Sec-Fetch-Site": site})
    assert status == http
    assert (await admin.ask("GET", "/v1/ledger", headers={"Sec-Fetch-Site": site}))[0] == 200
