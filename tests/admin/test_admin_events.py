"""Who changed what: in the transaction of the change, and never with a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.admin import Admin, open_admin

from sidecar.queue.values import NewJob, Rejected, Settlement
from sidecar.store import audit
from sidecar.store.audit import Change, Wanted, list_changes, write_changes

COLLECTORS = "/v2/collectors"
SECRET = "the-key-that-may-post"


def collector(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"id": name, "source": {"model": "digits"}, "pre_queue_random_sample": 0.5, **fields}


async def events(admin: Admin, query: str = "", **headers: str) -> list[dict[str, Any]]:
    status, answer = await admin.ask("GET", f"/v1/events{query}", headers=headers)
    assert status == 200, answer
    return list(answer["events"])


async def test_a_collectors_life_is_told_with_what_stood_before_and_after(admin: Admin) -> None:
    await admin.ask("POST", COLLECTORS, {"collectors": [collector()]})
    await admin.ask("PATCH", COLLECTORS, {"collectors": [{"id": "c", "pre_queue_random_sample": 0.25}]})
    await admin.ask("PATCH", COLLECTORS, {"collectors": [{"id": "c", "pre_queue_random_sample": 0.25}]})
    await admin.ask("DELETE", COLLECTORS, {"ids": ["c"]})
    deleted, changed, added = await events(admin)
    assert [each["kind"] for each in (added, changed, deleted)] == [
        "collector.added", "collector.changed", "collector.deleted",
    ]  # fmt: skip
    assert {(each["who"], each["subject"], each["collector"]) for each in (added, changed, deleted)} == {
        ("loopback", "c", "c")
    }
    assert added["before"] is None
    assert (changed["before"]["pre_queue_random_sample"], changed["after"]["pre_queue_random_sample"]) == (0.5, 0.25)
    assert (deleted["before"], deleted["after"]) == (changed["after"], None)
    assert added["at"] == "2023-11-14T22:13:20.000000Z"
    assert admin.shop.log.getvalue().count('"collector.changed"') == 1
    assert admin.shop.events.counters.get("sidecar_changes_total", kind="collector.added") == 1


async def test_what_was_refused_is_no_event(admin: Admin) -> None:
    await admin.ask("POST", COLLECTORS, {"collectors": [collector("a"), collector("a")]})
    await admin.ask("DELETE", COLLECTORS, {"ids": ["a"]})
    await admin.ask("DELETE", "/v1/record")
    assert await events(admin) == []


async def test_no_event_tells_a_secret(admin: Admin) -> None:
    source = {"model": "digits", "key": SECRET}
    await admin.ask("POST", COLLECTORS, {"collectors": [collector(source=source)]})
    _, made = await admin.ask("POST", "/v1/keys", {"name": "ci", "scopes": ["read"]})
    await admin.ask("POST", f"/v1/keys/{made['key']['id']}/rotate")
    rotated, created, added = await events(admin)
    assert [rotated["kind"], created["kind"]] == ["key.rotated", "key.created"]
    assert created["after"] == made["key"]
    assert added["after"]["collector_source"]
    everything = str([rotated, created, added]) + admin.shop.log.getvalue()
    for secret in (SECRET, made["token"], made["token"].split("_", 2)[2]):
        assert secret not in everything
        assert secret.encode() not in admin.shop.bytes_on_disk


async def test_a_keys_changes_are_its_own(locked_admin: Admin) -> None:
    token = {"Authorization": "Key correct-token"}
    _, made = await locked_admin.ask("POST", "/v1/keys", {"name": "ci", "scopes": ["write"]}, token)
    by_key = {"Authorization": f"Key {made['token']}"}
    await locked_admin.ask("POST", COLLECTORS, {"collectors": [collector()]}, by_key)
    await locked_admin.ask("POST", COLLECTORS, {"collectors": [collector("d")]}, token)
    who = made["key"]["id"]
    assert [each["subject"] for each in await events(locked_admin, f"?who={who}", **token)] == ["c"]
    assert [each["who"] for each in await events(locked_admin, "?collector=d", **token)] == ["token"]


async def test_every_other_change_is_told_too(admin: Admin) -> None:
    nodes = [{"id": "n", "model": {"model_type_id": "random-sample"}}]
    await admin.ask("POST", "/v2/workflows", {"workflows": [{"id": "w", "nodes": nodes}]})
    relations = [{"object_concept": {"id": "cat"}, "predicate": "hypernym"}]
    await admin.ask("POST", "/v2/concepts/siamese/relations", {"concept_relations": relations})
    await admin.ask("POST", "/v2/inputs", {"inputs": [{"id": "i", "data": {"text": {"raw": "captured"}}}]})
    await admin.ask("DELETE", "/v2/inputs", {"ids": ["i"]})
    await admin.ask("POST", "/v1/record", {"model": "digits"})
    await admin.ask("DELETE", "/v1/record")
    await admin.jobs.record([NewJob("0" * 32, 0, "kept", "alice", "digits", "", b"{}")], {})
    for path in ("/v1/jobs/retry", "/v1/jobs/discard"):
        await admin.jobs.settle([Settlement(job, Rejected("refused")) for job in await admin.jobs.lease(1, 60)])
        await admin.ask("POST", path, {"all": True})
    told = {each["kind"]: each for each in await events(admin)}
    assert told.keys() == {
        "workflow.added", "concept_relations.added", "inputs.deleted", "recording.started", "recording.stopped",
        "jobs.retried", "jobs.discarded",
    }  # fmt: skip
    assert told["inputs.deleted"]["before"] == ["i"]
    assert told["concept_relations.added"]["after"] == ["siamese hypernym cat"]
    assert told["jobs.discarded"]["after"] == {"asked_for": "all", "jobs": 1}


async def test_pages_and_kinds(admin: Admin) -> None:
    await admin.ask("POST", COLLECTORS, {"collectors": [collector(name) for name in "abcde"]})
    await admin.ask("DELETE", COLLECTORS, {"ids": ["a"]})
    seen: list[str] = []
    before = ""
    while True:
        _, answer = await admin.ask("GET", f"/v1/events?kind=collector.added&per_page=2{before}")
        seen += [each["subject"] for each in answer["events"]]
        if answer["next_before"] is None:
            break
        before = f"&before={answer['next_before']}"
    assert seen == list("edcba")
    assert len(await events(admin, "?kind=collector")) == 6
    assert await events(admin, "?kind=collect") == []
    for query in ("?kind=%25", "?before=x", "?per_page=1001"):
        assert (await admin.ask("GET", f"/v1/events{query}"))[0] == 400


async def test_events_outlive_a_restart_and_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_EVENTS", 3)
    async with open_admin(tmp_path) as admin:
        for name in "abcd":
            await admin.ask("POST", COLLECTORS, {"collectors": [collector(name)]})
    async with open_admin(tmp_path) as admin:
        assert [each["subject"] for each in await events(admin)] == list("dcb")
        admin.shop.clock.advance(audit.MOST_SECONDS + 1)
        long = {"text": "x" * audit.MOST_JSON_BYTES}

        def work(connection: Any) -> list[Any]:
            write_changes(connection, "me", admin.shop.clock.now(), [Change("thing.changed", "t", after=long)])
            return list_changes(connection, Wanted(), 10)

        (only,) = await admin.shop.database.write(work)
        assert only.after == f'{{"too_large_bytes":{audit.MOST_JSON_BYTES + 11}}}'
