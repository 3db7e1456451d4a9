"""Jobs over the API: seen without their content, dead ones tried again or given up, and the ledger follows."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from support.admin import Admin

from sidecar.queue.ledger import Ledger, read_ledger
from sidecar.queue.values import NewJob, Rejected, Settlement


async def with_dead(admin: Admin, dead: int, waiting: int = 0) -> None:
    made = [NewJob(f"{number:032x}", 0, "kept", "alice", "digits", "", b"{}") for number in range(dead)]
    await admin.jobs.record(made, {})
    leased = await admin.jobs.lease(dead, 60)
    await admin.jobs.settle([Settlement(job, Rejected("refused", "bad key")) for job in leased])
    more = [NewJob(f"{number:032x}", 1, "kept", "alice", "digits", "", b"{}") for number in range(waiting)]
    await admin.jobs.record(more, {})


async def ledger(admin: Admin) -> Ledger:
    found = await read_ledger(admin.shop.database)
    assert found.holds
    return found


async def test_jobs_are_listed_newest_first_by_state_and_page(admin: Admin) -> None:
    await with_dead(admin, 3, waiting=2)
    status, first = await admin.ask("GET", "/v1/jobs?state=dead&per_page=2")
    assert status == 200
    assert [job["reason"] for job in first["jobs"]] == ["refused", "refused"]
    assert "input" not in first["jobs"][0]
    _, second = await admin.ask("GET", f"/v1/jobs?state=dead&per_page=2&before={first['next_before']}")
    assert len(second["jobs"]) == 1
    assert second["next_before"] is None
    _, everything = await admin.ask("GET", "/v1/jobs?collector=kept")
    assert [job["state"] for job in everything["jobs"]] == ["queued"] * 2 + ["dead"] * 3


async def test_a_job_says_how_it_stands_with_each_destination(admin: Admin) -> None:
    job = NewJob("1" * 32, 0, "kept", "alice", "digits", "", b"{}", destinations=("app", "second"))
    await admin.jobs.record([job], {})
    first, _ = await admin.jobs.lease(2, 60)
    await admin.jobs.settle([Settlement(first, Rejected("refused", "bad key"))])
    _, listed = await admin.ask("GET", "/v1/jobs?state=dead")
    (shown,) = listed["jobs"]
    assert shown["state"] == "leased"
    told = [(each["destination"], each["state"], each["reason"]) for each in shown["destinations"]]
    assert told == [("app", "dead", "refused"), ("second", "leased", "")]


async def test_dead_letters_are_tried_again_or_given_up(admin: Admin) -> None:
    await with_dead(admin, 3)
    _, listed = await admin.ask("GET", "/v1/jobs?state=dead")
    one = listed["jobs"][0]["id"]
    assert await admin.ask("POST", "/v1/jobs/retry", {"ids": [one]}) == (200, {"retried": 1})
    assert await admin.ask("POST", "/v1/jobs/discard", {"all": True}) == (200, {"discarded": 2})
    found = await ledger(admin)
    assert (found.total.pending, found.total.dead, found.total.dropped) == (1, 0, 2)


async def with_two_kinds(admin: Admin) -> float:
    """A dead job of each of two collectors, ten seconds apart, for two reasons; gives when the second was made."""
    for number, (collector, reason) in enumerate((("kept", "refused"), ("other", "too_large"))):
        admin.shop.clock.advance(10 * number)
        await admin.jobs.record([NewJob("1" * 32, 0, collector, "alice", "digits", "", b"{}")], {})
        await admin.jobs.settle([Settlement(job, Rejected(reason)) for job in await admin.jobs.lease(1, 60)])
    return admin.shop.clock.now()


def rfc3339(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat()


@pytest.mark.parametrize(
    ("narrowed", "collectors"),
    [
        ({"state": "dead"}, ["other", "kept"]),
        ({"state": "queued"}, []),
        ({"destination": "app"}, ["other", "kept"]),
        ({"destination": "second"}, []),
        ({"reason": "refused"}, ["kept"]),
        ({"reason": "refused", "collector": "other"}, []),
    ],
)
async def test_jobs_are_listed_by_what_they_are(admin: Admin, narrowed: dict[str, str], collectors: list[str]) -> None:
    await with_two_kinds(admin)
    _, listed = await admin.ask("GET", f"/v1/jobs?{urlencode(narrowed)}")
    assert [job["collector"] for job in listed["jobs"]] == collectors


async def test_jobs_are_chosen_by_when_they_were_made(admin: Admin) -> None:
    moment = await with_two_kinds(admin)
    second = rfc3339(moment)
    assert await admin.ask("POST", "/v1/jobs/discard", {"since": moment, "dry_run": True}) == (
        200,
        {"would_discard": 1},
    )
    for name, collectors in (("since", ["other"]), ("until", ["kept"])):
        _, listed = await admin.ask("GET", f"/v1/jobs?{urlencode({name: second})}")
        assert [job["collector"] for job in listed["jobs"]] == collectors
    assert await admin.ask("POST", "/v1/jobs/discard", {"until": second}) == (200, {"discarded": 1})
    _, left = await admin.ask("GET", "/v1/jobs")
    assert [job["collector"] for job in left["jobs"]] == ["other"]


async def test_a_filter_in_bulk_is_counted_first_then_carried_out_and_told(admin: Admin) -> None:
    await with_two_kinds(admin)
    body = {"reason": "too_large", "state": "dead"}
    for verb, done in (("retry", "would_retry"), ("discard", "would_discard")):
        assert await admin.ask("POST", f"/v1/jobs/{verb}", {**body, "dry_run": True}) == (200, {done: 1})
    assert (await ledger(admin)).total.dead == 2
    assert await admin.ask("POST", "/v1/jobs/discard", body) == (200, {"discarded": 1})
    assert await admin.ask("POST", "/v1/jobs/retry", body) == (200, {"retried": 0})
    found = await ledger(admin)
    assert (found.total.dead, found.total.dropped) == (1, 1)
    _, told = await admin.ask("GET", "/v1/events?kind=jobs")
    asked_for = {"reason": "too_large"}
    assert [each["after"] for each in told["events"]] == [
        {"asked_for": asked_for, "jobs": 0}, {"asked_for": asked_for, "jobs": 1},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/v1/jobs?state=lost", None, "state"),
        ("GET", "/v1/jobs?before=x", None, "before"),
        ("POST", "/v1/jobs/retry", {}, "ids"),
        ("POST", "/v1/jobs/retry", {"ids": []}, "ids"),
        ("POST", "/v1/jobs/retry", {"ids": ["1"]}, "ids"),
        ("POST", "/v1/jobs/retry", {"ids": [1], "all": True}, "ids"),
        ("POST", "/v1/jobs/discard", {"all": 1}, "ids"),
        ("POST", "/v1/jobs/discard", {"id": 1}, "id"),
        ("GET", "/v1/jobs?since=yesterday", None, "since"),
        ("GET", "/v1/jobs?reason=%00", None, "reason"),
        ("POST", "/v1/jobs/discard", {"state": "dead"}, "ids"),
        ("POST", "/v1/jobs/discard", {"collector": None, "reason": None}, "ids"),
        ("POST", "/v1/jobs/discard", {"dry_run": True}, "ids"),
        ("POST", "/v1/jobs/discard", {"all": False}, "ids"),
        ("POST", "/v1/jobs/discard", {"all": True, "reason": "refused"}, "ids"),
        ("POST", "/v1/jobs/discard", {"all": False, "reason": "refused"}, "ids"),
        ("POST", "/v1/jobs/discard", {"ids": [1], "reason": "refused"}, "ids"),
        ("POST", "/v1/jobs/discard", {"reason": ""}, "reason"),
        ("POST", "/v1/jobs/discard", {"state": "queued", "reason": "refused"}, "state"),
        ("POST", "/v1/jobs/discard", {"until": "tomorrow"}, "until"),
        ("POST", "/v1/jobs/discard", {"until": True}, "until"),
        ("POST", "/v1/jobs/discard", {"since": ""}, "since"),
        ("POST", "/v1/jobs/discard", {"all": True, "dry_run": 1}, "dry_run"),
    ],
)
async def test_a_request_that_is_not_clear_changes_nothing(
    admin: Admin, method: str, path: str, body: Any, field: str
) -> None:
    await with_dead(admin, 1)
    status, answer = await admin.ask(method, path, body)
    assert status == 400
    assert answer["status"]["details"].startswith(f"{field}:")
    assert (await ledger(admin)).total.dead == 1
