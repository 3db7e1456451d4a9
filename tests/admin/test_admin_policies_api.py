"""Collectors and workflows over plain HTTP: envelope, codes, owners, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from support.admin import Admin

LONG = "/v2/users/local/apps/main/collectors"
SHORT = "/v2/collectors"
WORKFLOW = {"id": "w", "nodes": [{"id": "n", "model": {"model_type_id": "random-sample"}}]}


def collector(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"id": name, "source": {"model": "digits"}, "pre_queue_random_sample": 0.5, **fields}


async def refused(admin: Admin, method: str, path: str, body: object, http: int, code: int) -> str:
    """The details of a refusal; nothing may have been made or deleted by it."""
    before = admin.shop.catalog.snapshot
    status, answer = await admin.ask(method, path, body)
    assert (status, answer["status"]["code"]) == (http, code)
    assert answer["status"]["http_status_code"] == http
    assert answer["status"]["description"]
    assert answer["status"]["req_id"]
    assert answer.keys() == {"status"}
    assert admin.shop.catalog.snapshot == before
    return str(answer["status"]["details"])


async def test_what_is_posted_is_answered_and_got(admin: Admin) -> None:
    status, posted = await admin.ask("POST", LONG, {"collectors": [collector()]})
    assert (status, posted["status"]["code"], posted["status"]["description"]) == (200, 10000, "Ok")
    _, got = await admin.ask("GET", f"{SHORT}/c")
    assert got["collector"] == posted["collectors"][0]
    assert got["collector"]["created_at"] == "2023-11-14T22:13:20.000000Z"
    assert got["collector"]["status"]["code"] == 52001
    assert got["collector"]["key"] == "c"


async def test_json_is_read_whatever_the_content_type(admin: Admin) -> None:
    body = b'{"collectors": [{"id": "c", "source": {"model": "m"}, "preQueueRandomSample": 1.0}]}'
    status, _ = await admin.ask("POST", SHORT, body, {"Content-Type": "text/plain"})
    assert status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "http", "code", "said"),
    [
        ("POST", SHORT, {"collectors": [collector(statis=1)]}, 400, 11102, "collectors[0].statis: no such field"),
        ("POST", SHORT, {"collectors": [collector(collect_outputs="x")]}, 400, 11102, "collect_outputs: must be true"),
        ("POST", SHORT, {"collectors": [collector(post_queue_workflow_id="x")]}, 404, 22102, "no workflow 'x'"),
        ("POST", SHORT, {"collectors": [collector(pre_queue_random_sample=None)]}, 400, 11102, "three workflows"),
        ("POST", SHORT, {"collectors": [collector("a"), collector("a")]}, 409, 40010, "collectors[1].id: 'a'"),
        ("POST", SHORT, {"collectors": [collector("there")]}, 409, 40010, "'there' is there already"),
        ("POST", SHORT, {"collectors": []}, 400, 11102, "collectors: must be a list"),
        ("POST", SHORT, {"collectors": {}}, 400, 11102, "collectors: must be a list"),
        ("POST", SHORT, {}, 400, 11102, "collectors: must be a list"),
        ("POST", SHORT, {"collectors": [1]}, 400, 11102, "collectors[0]: must be an object"),
        ("POST", SHORT, {"collectors": [collector()], "dry": 1}, 400, 11102, "dry: no such field"),
        ("POST", SHORT, b'{"collectors": [', 400, 11100, "line 1"),
        ("POST", SHORT, b"[]", 400, 11100, "must be a JSON object"),
        ("POST", SHORT, b"\xff", 400, 11100, "not JSON"),
        ("POST", SHORT, b" " * (1024 * 1024 + 1), 413, 11102, "larger than the limit of 1048576 bytes"),
        ("POST", LONG, {"collectors": [collector()], "user_app_id": {"app_id": "other"}}, 400, 11102, "app_id: is not"),
        ("POST", SHORT, {"collectors": [collector()], "user_app_id": {"app_id": 3}}, 400, 11102, "must be text"),
        ("PATCH", SHORT, {"collectors": [{"id": "there"}], "action": "merge"}, 400, 11102, "action: must be overwrite"),
        (
            "PATCH",
            SHORT,
            {"collectors": [{"id": "x", "status": "inactive"}]},
            404,
            52000,
            "collectors[0].id: no collector",
        ),
        (
            "PATCH",
            SHORT,
            {"collectors": [{"id": "there", "pre_queue_workflow_id": "w"}]},
            404,
            22102,
            "collectors[0].pre_queue_workflow_id: no workflow 'w' in app local/main: there is none",
        ),
        ("DELETE", SHORT, {"ids": ["there"], "delete_all": True}, 400, 11102, "nothing was deleted"),
        ("DELETE", SHORT, {"ids": ["there", "x"]}, 404, 52000, "ids[1]: no collector 'x'"),
        ("DELETE", SHORT, {"delete_all": 1}, 400, 11102, "delete_all: must be true or false"),
        ("DELETE", SHORT, {}, 400, 11102, "ids: must be a list"),
        ("DELETE", SHORT, {"delete_all": "yes"}, 400, 11102, "delete_all: must be true or false"),
        ("GET", SHORT + "/x", None, 404, 52000, "no collector 'x'"),
        ("GET", SHORT + "?page=0", None, 400, 11102, "page: must be a whole number from 1"),
        ("GET", SHORT + "?per_page=1001", None, 400, 11102, "at most 1000"),
        ("GET", SHORT + "?per_page=" + "9" * 400, None, 400, 11102, "whole number"),
        ("GET", "/v2/workflows/x", None, 404, 22102, "no workflow 'x'"),
        ("POST", "/v2/workflows", {"workflows": [{"id": "w", "nodes": []}]}, 400, 22104, "at least one node"),
        ("POST", "/v2/workflows", {"workflows": [WORKFLOW, WORKFLOW]}, 409, 22100, "workflows[1].id: 'w'"),
        ("GET", "/v2/collections", None, 404, 11101, "/v2/collections"),
        ("PUT", SHORT, {}, 405, 11103, "possible: DELETE, GET, HEAD, PATCH, POST"),
    ],
)
async def test_each_wrong_request_changes_nothing(
    admin: Admin, method: str, path: str, body: object, http: int, code: int, said: str
) -> None:
    await admin.ask("POST", SHORT, {"collectors": [collector("there")]})
    assert said in await refused(admin, method, path, body, http, code)
    assert admin.jobs.dropped == []
    assert admin.shop.events.counters.get("sidecar_admin_refusals_total", status=str(http)) == 1


async def test_a_graph_that_cannot_run_has_its_own_code(admin: Admin) -> None:
    broken = {"id": "x", "nodes": [{"id": "n", "model": {"model_type_id": "broken"}}]}
    said = await refused(admin, "POST", "/v2/workflows", {"workflows": [broken]}, 400, 22107)
    assert said == "workflows[0].nodes[0].model.model_type_id: is no operator"


async def test_the_alias_takes_its_app_from_body_or_query(admin: Admin) -> None:
    owner = {"user_id": "me", "app_id": "lab"}
    await admin.ask("POST", SHORT, {"userAppId": {"userId": "me", "appId": "lab"}, "collectors": [collector()]})
    _, in_query = await admin.ask("GET", f"{SHORT}?user_app_id.user_id=local&user_app_id.app_id=lab")
    _, in_path = await admin.ask("GET", "/v2/users/me/apps/lab/collectors")
    _, elsewhere = await admin.ask("GET", SHORT)
    assert [each["key"] for each in in_query["collectors"]] == ["local/lab/c"]
    assert in_path["collectors"] == in_query["collectors"]
    assert elsewhere["collectors"] == []
    await admin.ask("DELETE", SHORT, {"user_app_id": owner, "delete_all": True})
    assert admin.jobs.dropped == ["local/lab/c"]


async def test_every_apps_collectors_in_one_list(admin: Admin) -> None:
    await admin.ask("POST", SHORT, {"collectors": [collector()]})
    await admin.ask("POST", "/v2/users/ann/apps/lab/collectors", {"collectors": [collector()]})
    _, listed = await admin.ask("GET", "/v1/collectors")
    owners = {(each["key"], each["user_id"], each["app_id"]) for each in listed["collectors"]}
    assert owners == {("c", "local", "main"), ("ann/lab/c", "ann", "lab")}


@pytest.mark.parametrize("owner", ["a%2Fb", "%FF", "%ED%A0%80", "-", "a%20b"])
async def test_an_owner_is_an_id(admin: Admin, owner: str) -> None:
    path = f"/v2/users/{owner}/apps/main/collectors"
    said = await refused(admin, "POST", path, {"collectors": [collector()]}, 400, 11102)
    assert said.startswith("user_app_id.user_id: is not an id")


async def test_what_nests_too_deeply_is_refused(admin: Admin) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    model = {"model_type_id": "random-sample", "output_info": {"params": {"x": deep}}}
    wire = {"id": "w", "nodes": [{"id": "n", "model": model}]}
    assert "too deeply" in await refused(admin, "POST", "/v2/workflows", {"workflows": [wire]}, 400, 22104)


async def test_a_body_that_is_not_what_its_head_says(admin: Admin) -> None:
    status, answer = await admin.ask("POST", SHORT, b"hello", {"Content-Encoding": "gzip"})
    assert (status, answer["status"]["code"]) == (400, 11100)


async def test_a_body_that_cannot_be_unpacked_leaves_no_stack_behind(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.ask("POST", SHORT, b"hello", {"Content-Encoding": "gzip"})
    await admin.ask("GET", SHORT)
    assert caplog.records == []


@pytest.mark.parametrize("status", [{}, {"code": None}, None])
async def test_a_status_that_says_nothing_leaves_a_paused_collector_paused(admin: Admin, status: object) -> None:
    await admin.ask("POST", SHORT, {"collectors": [collector() | {"status": "inactive"}]})
    change = {"id": "c", "status": status, "description": "still paused"}
    _, answer = await admin.ask("PATCH", SHORT, {"collectors": [change]})
    assert answer["collectors"][0]["status"]["code"] == 52002
    assert answer["collectors"][0]["description"] == "still paused"


async def test_a_fault_of_ours_is_answered_in_the_envelope_and_told_to_the_log_alone(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*owner: str) -> None:
        raise ZeroDivisionError(" ".join(("captured", *owner)))

    monkeypatch.setattr(admin.shop.catalog, "list_collectors", broken)
    status, answer = await admin.ask("GET", SHORT)
    assert (status, answer["status"]["code"], answer["status"]["http_status_code"]) == (500, 10020, 500)
    log = admin.shop.log.getvalue()
    assert "admin request failed" in log
    assert "in broken" in log
    assert "captured local" not in log + str(answer)
    assert admin.shop.events.counters.get("sidecar_admin_failures_total") == 1
    assert (await admin.ask("GET", "/healthz"))[0] == 200


async def test_pages(admin: Admin) -> None:
    await admin.ask("POST", SHORT, {"collectors": [collector(f"c{number}") for number in range(5)]})
    _, page = await admin.ask("GET", f"{SHORT}?page=2&per_page=2.0")
    assert [each["id"] for each in page["collectors"]] == ["c2", "c3"]


async def test_a_secret_is_in_no_answer_log_or_file(admin: Admin) -> None:
    secret = "sk-live-0123456789abcdef"
    source = {"api_post_model_outputs_collector_source": {"model_id": "m", "post_inputs_key_id": secret}}
    good = {"id": "good", "collector_source": source, "pre_queue_random_sample": 1}
    for body in (
        {"collectors": [good]},
        {"collectors": [good | {"id": "bad", "statis": 1}]},
        {"collectors": [{"id": "bad", "source": {"model": "m", "kye": secret}}]},
        {"collectors": [good]},
        {"collectors": [good | {"id": secret + " "}]},
        {"collectors": [good | {"collector_source": secret}]},
    ):
        _, answer = await admin.ask("POST", SHORT, body)
        assert secret not in str(answer)
    _, broken = await admin.ask("POST", SHORT, b'{"collectors": [{"post_inputs_key_id": "' + secret.encode())
    assert secret not in str(broken)
    _, listed = await admin.ask("GET", SHORT)
    assert [each["id"] for each in listed["collectors"]] == ["good"]
    assert secret not in str(listed)
    assert secret.encode() not in admin.shop.bytes_on_disk
    assert secret not in admin.shop.log.getvalue()
