"""What a query string may hold: every route refuses what it does not know, by the models that describe it."""

from __future__ import annotations

import pytest
from support.admin import Admin

from sidecar.admin.queries import Anything
from sidecar.admin.routes import ROUTES


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/collectors?pages=2", "pages: no such field: did you mean page?"),
        ("/v2/collectors?search=x", "search: no such field: there are user_app_id.user_id, user_app_id.app_id, page,"),
        ("/v2/collectors?search=", "search: no such field"),
        ("/v2/collectors?user_id=me", "user_id: no such field"),
        ("/v2/collectors/c?page=1", "page: no such field"),
        ("/v2/inputs?ids=a&status=1", "ids: no such field: there are"),
        ("/v1/ledger?since=1", "since: no such field: there is none"),
        ("/v1/jobs?state=lost", "state: must be 'queued', 'leased' or 'dead'"),
        ("/v1/jobs?page=2", "page: no such field"),
        ("/v2/collectors?page=1&page=2", "page: stands there twice"),
        ("/v2/collectors?perPage=1&per_page=1", "per_page: stands there twice"),
        ("/v2/collectors?page=0&per_page=0", "page: must be a whole number from 1; per_page: must be a whole number"),
        ("/v2/collectors?page=1_0", "page: must be a whole number from 1"),
        ("/v2/collectors?userAppId.userId=%20", "user_app_id.user_id: is not an id"),
        ("/v2/inputs?concept=cat&least=1_0", "least: must be a number"),
        ("/v2/inputs?since=1e999", "since: must be a number of seconds since the epoch, or RFC 3339"),
        ("/v1/events?who=%00", "who: must be text of at most 512 characters"),
        ("/v1/jobs?before=" + "9" * 19, "before: must be an id: a whole number"),
        ("/v1/tail?limit=0", "limit: must be a whole number from 1"),
        ("/v1/tail?seconds=0", "seconds: must be more than 0"),
        ("/v1/tail?seconds=86401", "seconds: must be at most 86400"),
    ],
)
async def test_what_is_wrong_is_refused_by_its_name(admin: Admin, path: str, said: str) -> None:
    status, answer = await admin.ask("GET", path)
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert answer["status"]["details"].startswith(said)


@pytest.mark.parametrize("query", ["perPage=2.0", "per_page=2&page=&userAppId.userId=me", "user_app_id.app_id=main"])
async def test_both_spellings_and_blanks_are_read(admin: Admin, query: str) -> None:
    assert (await admin.ask("GET", f"/v2/collectors?{query}"))[0] == 200


async def test_every_route_but_the_probed_refuses_what_it_does_not_know(admin: Admin) -> None:
    for route in ROUTES:
        path = route.path.format(user_id="local", app_id="main", id="x", concept_id="x")
        if route.query is Anything:
            async with admin.session.get(f"{admin.url}{path}?nobody=knows&nobody=knows") as response:
                assert response.status == 200, path
        else:
            status, answer = await admin.ask(route.method, f"{path}?nobody=knows")
            assert (status, answer["status"]["details"].partition(":")[0]) == (400, "nobody"), path
