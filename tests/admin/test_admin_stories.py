"""Stories over the API: of a job while it lives, of an input once it is kept, and none of what is not there."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from support.admin import Admin

from sidecar.data import Data, Media, Text, to_wire
from sidecar.delivery.destination import Parcel, Way
from sidecar.delivery.embedded import EmbeddedApp, EmbeddedOptions
from sidecar.queue.values import Delivered, End, NewJob, Rejected, Retry, Settlement, Split

NAME = "1" * 32
STORY = "/v1/users/local/apps/main/inputs/kept-1/story"
TRACE = {"workflow": "before", "nodes": [{"id": "n", "kind": "random-sample", "verdict": "passed"}]}
AFTER = {"workflow": "after", "nodes": [{"id": "m", "kind": "second", "verdict": "emptied"}]}
DETAILS = {
    "started_at": 5.0, "latency_seconds": 0.01, "status": 200, "sample_exchanges": 0.5, "pre_queue_random_sample": None,
    "trace": TRACE,
}  # fmt: skip


def new_job(*destinations: str, has_workflow: bool = False, data: Data | None = None) -> NewJob:
    given = orjson.dumps(to_wire(data or Data(text=Text("hello"))))
    details = orjson.dumps(DETAILS).decode()
    answer = b'{"concepts": [{"id": "cat", "name": "cat", "value": 0.5}]}'
    return NewJob(NAME, 0, "kept", "alice", "digits", "1", given, answer, details, destinations, has_workflow)


async def settle(admin: Admin, **ends: End) -> None:
    leased = await admin.jobs.lease(9, 60)
    await admin.jobs.settle([Settlement(job, ends[job.destination]) for job in leased if job.destination in ends])


async def store(admin: Admin, siblings: int) -> None:
    """An input as the embedded app keeps it at its second try."""
    way = Way(1, "app", 1.0, 9.0, 2, siblings, orjson.dumps(AFTER).decode(), '[0,[1,2.0,"store_failed","locked"]]')
    parcel = Parcel(
        "kept-1", Data(text=Text("hello")), "kept", "alice", "digits", "1", "local", "main", exchange_id=NAME,
        details_wire=orjson.dumps(DETAILS).decode(), way=way,
    )  # fmt: skip
    await EmbeddedApp(EmbeddedOptions(), admin.shop.database).deliver([parcel])


def standing(shown: list[Any]) -> list[tuple[Any, ...]]:
    return [(each["destination"], each["state"], [one["reason"] for one in each["tries"]]) for each in shown]


async def test_a_job_tells_all_that_is_known_of_it(admin: Admin) -> None:
    await admin.jobs.record([new_job("app", "other", has_workflow=True)], {})
    (waiting,) = await admin.jobs.lease(9, 60)
    after = orjson.dumps(AFTER).decode()
    await admin.jobs.settle([Settlement(waiting, Split(), b'{"text": {"raw": "bye"}}', trace=after)])
    now = admin.shop.clock.now()
    await settle(admin, app=Retry(now + 60, "http_503", "away"), other=Rejected("refused", "bad key"))
    status, answer = await admin.ask("GET", "/v1/jobs/1")
    assert status == 200
    job = answer["job"]
    assert (job["collector"], job["caller"], job["state"], job["reason"]) == ("kept", "alice", "queued", "http_503")
    assert standing(job["destinations"]) == [("app", "queued", ["http_503"]), ("other", "dead", ["refused"])]
    assert job["destinations"][0]["tries"] == [{"attempt": 1, "at": now, "reason": "http_503", "detail": "away"}]
    assert (job["pre_queue"], job["post_queue"]) == (TRACE, AFTER)
    assert job["exchange"] == {"started_at": 5.0, "latency_seconds": 0.01, "status": 200}
    assert job["sampling"] == {"sample_exchanges": 0.5, "pre_queue_random_sample": None}
    assert job["input"] == {"text": {"raw": "hello"}}
    assert job["output"]["concepts"][0]["id"] == "cat"
    assert job["workflow_output"] == {"text": {"raw": "bye"}}


async def test_a_medium_is_told_by_its_size(admin: Admin) -> None:
    await admin.jobs.record([new_job("app", data=Data(image=Media(b"\x89PNG-and-so-on")))], {})
    _, answer = await admin.ask("GET", "/v1/jobs/1")
    assert answer["job"]["input"] == {"image": {"content_bytes": 14}}
    assert (answer["job"]["post_queue"], answer["job"]["workflow_output"]) == (None, None)


@pytest.mark.parametrize("name", ["2", "x", "-1", "9" * 30, "retry", "%00", "²"])
async def test_a_job_that_is_not_there(admin: Admin, name: str) -> None:
    await admin.jobs.record([new_job("app")], {})
    status, answer = await admin.ask("GET", f"/v1/jobs/{name}")
    assert status == 404
    assert "waits or is dead" in answer["status"]["details"]


async def test_an_input_tells_its_way_and_of_the_other_destinations_while_the_job_lives_and_after(admin: Admin) -> None:
    await admin.jobs.record([new_job("app", "other")], {})
    await store(admin, siblings=1)
    await settle(admin, app=Delivered(), other=Rejected("refused", "bad key"))
    _, answer = await admin.ask("GET", STORY)
    story = answer["story"]
    assert standing(story["destinations"]) == [("app", "delivered", ["store_failed"]), ("other", "dead", ["refused"])]
    own = story["destinations"][0]
    assert (own["attempts"], own["settled_at"], own["queued_at"]) == (2, 9.0, 1.0)
    assert (story["pre_queue"], story["post_queue"]) == (TRACE, AFTER)
    assert (story["job_id"], story["collector"], story["destinations_forgotten"]) == (1, "kept", 0)
    await admin.jobs.discard_dead()
    _, answer = await admin.ask("GET", STORY)
    assert standing(answer["story"]["destinations"])[1] == ("other", "dropped", ["refused"])
    assert answer["story"]["destinations"][1]["reason"] == "discarded"


async def test_what_is_not_known_any_more_is_said(admin: Admin) -> None:
    await store(admin, siblings=2)
    _, answer = await admin.ask("GET", STORY)
    assert answer["story"]["destinations_forgotten"] == 2
    assert [each["destination"] for each in answer["story"]["destinations"]] == ["app"]


async def test_an_input_that_was_posted_has_no_story_and_one_that_is_not_there_is_404(admin: Admin) -> None:
    posted = {"inputs": [{"id": "mine", "data": {"text": {"raw": "hello"}}}]}
    await admin.ask("POST", "/v2/users/me/apps/main/inputs", posted)
    path = "/v1/users/me/apps/main/inputs"
    assert await admin.ask("GET", f"{path}/mine/story") == (200, {"story": None})
    assert (await admin.ask("GET", f"{path}/none/story"))[0] == 404
