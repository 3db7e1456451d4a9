"""Two who edit the same collector do not overwrite each other, and nobody is sent what it has already."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.admin import Admin

COLLECTORS = "/v2/collectors"


def collector(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"id": name, "source": {"model": "digits"}, "pre_queue_random_sample": 0.5, **fields}


async def make(admin: Admin, *names: str) -> list[str]:
    """The tags of the collectors that were made."""
    await admin.ask("POST", COLLECTORS, {"collectors": [collector(name) for name in names]})
    return [await tag(admin, f"{COLLECTORS}/{name}") for name in names]


async def tag(admin: Admin, path: str) -> str:
    async with admin.session.get(admin.url + path) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "private, no-cache"
        return response.headers["ETag"]


def patch(name: str = "c", sample: float = 0.25) -> dict[str, Any]:
    return {"collectors": [{"id": name, "pre_queue_random_sample": sample}]}


async def test_of_two_who_saw_the_same_one_changes_it(admin: Admin) -> None:
    (seen,) = await make(admin, "c")
    both = [admin.ask("PATCH", COLLECTORS, patch(sample=sample), {"If-Match": seen}) for sample in (0.1, 0.2)]
    answers = await asyncio.gather(*both)
    assert sorted(status for status, _ in answers) == [200, 412]
    (refused,) = [answer for status, answer in answers if status == 412]
    assert (refused["status"]["code"], refused["status"]["http_status_code"]) == (11102, 412)
    assert "'c'" in refused["status"]["details"]
    assert refused.keys() == {"status"}
    assert await tag(admin, f"{COLLECTORS}/c") != seen


async def test_a_tag_is_of_the_content(admin: Admin) -> None:
    first, other = await make(admin, "c", "d")
    assert first != other
    assert not first.startswith("W/")
    for sample in (0.9, 0.5):
        assert (await admin.ask("PATCH", COLLECTORS, patch(sample=sample)))[0] == 200
    assert await tag(admin, f"{COLLECTORS}/c") == first


@pytest.mark.parametrize("body", [{"ids": ["c", "d"]}, {"delete_all": True}])
async def test_each_one_that_is_deleted_has_to_be_named(admin: Admin, body: dict[str, Any]) -> None:
    first, second = await make(admin, "c", "d")
    assert (await admin.ask("DELETE", COLLECTORS, body, {"If-Match": first}))[0] == 412
    assert len(admin.shop.catalog.snapshot.collectors) == 2
    assert (await admin.ask("DELETE", COLLECTORS, body, {"If-Match": f"{first}, {second}"}))[0] == 200
    assert not admin.shop.catalog.snapshot.collectors


@pytest.mark.parametrize(("given", "http"), [("*", 200), ('"other"', 412), (None, 200)])
async def test_any_or_none_or_another(admin: Admin, given: str | None, http: int) -> None:
    await make(admin, "c")
    headers = {"If-Match": given} if given else {}
    assert (await admin.ask("PATCH", COLLECTORS, patch(), headers))[0] == http


async def test_workflows_have_tags_too(admin: Admin) -> None:
    nodes = [{"id": "n", "model": {"model_type_id": "random-sample"}}]
    await admin.ask("POST", "/v2/workflows", {"workflows": [{"id": "w", "nodes": nodes}]})
    seen = await tag(admin, "/v2/workflows/w")
    body = {"workflows": [{"id": "w", "nodes": [{"id": "m", "model": {"model_type_id": "random-sample"}}]}]}
    assert (await admin.ask("PATCH", "/v2/workflows", body, {"If-Match": seen}))[0] == 200
    for method, asked in (("PATCH", body), ("DELETE", {"ids": ["w"]})):
        assert (await admin.ask(method, "/v2/workflows", asked, {"If-Match": seen}))[0] == 412
    now = await tag(admin, "/v2/workflows/w")
    assert (await admin.ask("DELETE", "/v2/workflows", {"ids": ["w"]}, {"If-Match": now}))[0] == 200


@pytest.mark.parametrize("path", [COLLECTORS, f"{COLLECTORS}/c", "/v1/collectors", "/v2/workflows", "/v2/workflows/w"])
async def test_what_somebody_has_is_not_sent_again(admin: Admin, path: str) -> None:
    await make(admin, "c")
    nodes = [{"id": "n", "model": {"model_type_id": "random-sample"}}]
    await admin.ask("POST", "/v2/workflows", {"workflows": [{"id": "w", "nodes": nodes}]})
    has = {"If-None-Match": await tag(admin, path)}
    async with admin.session.get(admin.url + path, headers=has) as response:
        assert (response.status, await response.read(), response.headers["ETag"]) == (304, b"", has["If-None-Match"])
    await admin.ask("POST", "/v2/workflows", {"workflows": [{"id": "v", "nodes": nodes}]})
    await admin.ask("PATCH", COLLECTORS, patch())
    async with admin.session.get(admin.url + path, headers=has) as response:
        assert response.status == (304 if path == "/v2/workflows/w" else 200)
