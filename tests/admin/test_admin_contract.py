"""Lines of the Collectors contract about how a request may be written, each for every call that it holds for."""

from __future__ import annotations

from typing import Any

import pytest
from support.admin import Admin

LONG = "/v2/users/me/apps/main/collectors"
SOURCE = {"api_post_model_outputs_collector_source": {"model_id": "digits"}}


def wire(**fields: Any) -> dict[str, Any]:
    return {"id": "c", "collector_source": SOURCE, "pre_queue_random_sample": 1, **fields}


async def codes(admin: Admin) -> list[int]:
    _, listed = await admin.ask("GET", LONG)
    return [each["status"]["code"] for each in listed["collectors"]]


@pytest.mark.parametrize("content_type", [None, "text/plain;charset=UTF-8", "application/json"])
async def test_the_content_type_matters_to_no_call(admin: Admin, content_type: str | None) -> None:
    """A browser's `fetch` with a text body sends text/plain, curl's -d a form's type."""
    headers = {"Content-Type": content_type} if content_type else {"Content-Type": "application/x-www-form-urlencoded"}
    for method, body, left in (
        ("POST", b'{"collectors": [{"id": "c", "source": {"model": "m"}, "pre_queue_random_sample": 1}]}', [52001]),
        ("PATCH", b'{"collectors": [{"id": "c", "status": {"code": 52002}}], "action": "overwrite"}', [52002]),
        ("DELETE", b'{"ids": ["c"]}', []),
    ):
        assert (await admin.ask(method, LONG, body, headers))[0] == 200
        assert await codes(admin) == left


async def test_a_repeated_user_app_id_is_the_paths_own(admin: Admin) -> None:
    """As the vendor's client sends it, in body and query; another one is refused and changes nothing."""
    own, other = {"user_id": "me", "app_id": "main"}, {"user_id": "me", "app_id": "lab"}
    assert (await admin.ask("POST", LONG, {"user_app_id": own, "collectors": [wire()]}))[0] == 200
    for method, body in (
        ("POST", {"collectors": [wire(id="d")]}),
        ("PATCH", {"collectors": [{"id": "c", "status": "inactive"}]}),
        ("DELETE", {"delete_all": True}),
    ):
        status, answer = await admin.ask(method, LONG, {"userAppId": other, **body})
        assert (status, answer["status"]["code"]) == (400, 11102)
        assert answer["status"]["details"] == "user_app_id.app_id: is not the one in the path"
    assert (await admin.ask("GET", f"{LONG}?user_app_id.user_id=me&user_app_id.app_id=main"))[0] == 200
    assert (await admin.ask("GET", f"{LONG}?user_app_id.app_id=lab"))[0] == 400
    assert await codes(admin) == [52001]


@pytest.mark.parametrize("wrong", [{"user_id": False}, {"user_id": 7}, {"user": "me"}, [], "me"])
async def test_a_user_app_id_is_two_texts(admin: Admin, wrong: object) -> None:
    status, answer = await admin.ask("POST", "/v2/collectors", {"user_app_id": wrong, "collectors": [wire()]})
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert answer["status"]["details"].startswith("user_app_id")
    assert await codes(admin) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"code": "COLLECTOR_INACTIVE"}, 52002),
        ({"code": 52002}, 52002),
        ({"code": 52002.0, "reqId": "x"}, 52002),
        ({"code": 52001, "description": "", "details": ""}, 52001),
    ],
)
async def test_an_enums_value_comes_as_name_or_number(admin: Admin, status: object, code: int) -> None:
    assert (await admin.ask("POST", LONG, {"collectors": [wire(status=status)]}))[0] == 200
    assert await codes(admin) == [code]


async def test_camel_case_reads_the_same_and_snake_case_is_written(admin: Admin) -> None:
    camel = {
        "id": "c",
        "collectorSource": {"apiPostModelOutputsCollectorSource": {"modelId": "digits", "callerUserId": "bob"}},
        "preQueueRandomSample": 0.5,
        "collectOutputs": True,
    }
    _, made = await admin.ask("POST", LONG, {"collectors": [camel]})
    shown = made["collectors"][0]
    source = shown["collector_source"]["api_post_model_outputs_collector_source"]
    assert source == {"model_id": "digits", "caller_user_id": "bob"}
    assert (shown["pre_queue_random_sample"], shown["collect_outputs"]) == (0.5, True)
    assert not [name for name in shown if name != name.lower()]


async def test_an_empty_text_clears_a_workflow_as_long_as_one_of_the_three_remains(admin: Admin) -> None:
    node = {"id": "n", "model": {"model_id": "n", "model_type_id": "random-sample"}}
    await admin.ask("POST", "/v2/workflows", {"workflows": [{"id": "w", "nodes": [node]}]})
    await admin.ask("POST", LONG, {"collectors": [wire(post_queue_workflow_id="w")]})
    clear = {"id": "c", "post_queue_workflow_id": ""}
    _, patched = await admin.ask("PATCH", LONG, {"collectors": [clear]})
    assert "post_queue_workflow_id" not in patched["collectors"][0]
    assert patched["collectors"][0]["pre_queue_random_sample"] == 1
    await admin.ask("PATCH", LONG, {"collectors": [{"id": "c", "pre_queue_workflow_id": "w"}]})
    await admin.ask("PATCH", LONG, {"collectors": [{"id": "c", "pre_queue_random_sample": None}]})
    status, answer = await admin.ask("PATCH", LONG, {"collectors": [{"id": "c", "pre_queue_workflow_id": ""}]})
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert "three workflows missing" in answer["status"]["details"]
    _, got = await admin.ask("GET", f"{LONG}/c")
    assert got["collector"]["pre_queue_workflow_id"] == "w"


async def test_pages_begin_at_one_and_hold_at_most_a_thousand(admin: Admin) -> None:
    await admin.ask("POST", LONG, {"collectors": [wire(id=f"c{number}") for number in range(130)]})
    for query, count in (
        ("", 128),
        ("?page=2", 2),
        ("?per_page=1000", 130),
        ("?page=3&per_page=50", 30),
        ("?page=9", 0),
    ):
        assert len(await codes_of(admin, query)) == count, query
    for query in ("?page=0", "?per_page=0", "?per_page=1001", "?page=-1", "?page=x", "?per_page=1.5"):
        assert (await admin.ask("GET", LONG + query))[0] == 400, query


async def codes_of(admin: Admin, query: str) -> list[Any]:
    _, listed = await admin.ask("GET", LONG + query)
    assert set(listed) == {"status", "collectors"}  # no total
    found: list[Any] = listed["collectors"]
    return found
