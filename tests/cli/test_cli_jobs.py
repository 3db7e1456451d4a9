"""`sidecar jobs` on a real admin server with real jobs: what it shows, and that nothing happens unless it is said."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.admin import Admin, open_admin
from support.terminal import Run

from sidecar.cli import jobs, main
from sidecar.queue.values import NewJob, Rejected, Retry, Settlement, Wanted


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """With three dead jobs, two of them of `kept`, and one that waits."""
    async with open_admin(tmp_path) as running:
        for number, (collector, reason) in enumerate(
            (("kept", "refused"), ("kept", "too_large"), ("other", "refused"))
        ):
            await running.jobs.record([NewJob(f"{number:032x}", 0, collector, "alice", "digits", "", b"{}")], {})
            leased = await running.jobs.lease(1, 60)
            await running.jobs.settle([Settlement(job, Rejected(reason)) for job in leased])
        await running.jobs.record([NewJob("f" * 32, 0, "waiting", "alice", "digits", "", b"{}")], {})
        yield running


async def reasons(admin: Admin) -> list[tuple[str, str, str]]:
    return [(job.collector, job.state, job.reason) for job in await admin.jobs.list_jobs()]


async def test_jobs_are_shown_by_what_they_are(run: Run) -> None:
    code, said, _ = await run("jobs", "list")
    assert code == 0
    assert [line.split()[2] for line in said.splitlines()[1:]] == ["waiting", "other", "kept", "kept"]
    _, said, _ = await run(
        "jobs", "list", "--state", "dead", "--collector", "kept", "--destination", "app", "--reason", "refused"
    )
    (shown,) = said.splitlines()[1:]
    assert shown.split()[2:] == ["kept", "alice", "digits", "app", "dead", "1", "refused"]
    made = shown.split()[1]
    assert len((await run("jobs", "list", "--until", made))[1].splitlines()) == 1
    assert len((await run("jobs", "list", "--since", made))[1].splitlines()) == 5


async def test_a_list_says_when_there_are_more_and_pages_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_PER_PAGE", 2)
    monkeypatch.setattr(jobs, "_SHOWN", 3)
    more = "there are more, these are the newest {}: --limit and --all show older ones\n"
    for arguments, shown, said in (
        ((), 3, more.format(3)),
        (("--limit", "1"), 1, more.format(1)),
        (("--limit", "4"), 4, ""),
        (("--all",), 4, ""),
        (("--collector", "kept", "--limit", "1"), 1, more.format(1)),
    ):
        code, out, err = await run("jobs", "list", *arguments)
        assert (code, len(out.splitlines()) - 1, err) == (0, shown, said), arguments


async def test_one_job_is_shown_with_its_nodes_and_tries(admin: Admin, run: Run) -> None:
    trace = {"workflow": "before", "nodes": [{"id": "n", "kind": "first-n", "verdict": "not_run"}]}
    made = NewJob("e" * 32, 0, "told", "alice", "digits", "", b"{}", details=json.dumps({"trace": trace}))
    await admin.jobs.record([made], {})
    leased = await admin.jobs.lease(9, 60)
    now = admin.shop.clock.now()
    end = Retry(now + 5, "http_503", "said [bold]no[/bold]")
    await admin.jobs.settle([Settlement(job, end) for job in leased if job.collector == "told"])
    (told,) = await admin.jobs.list_jobs(Wanted(collector="told"))
    code, said, _ = await run("jobs", "show", str(told.id))
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    assert ["before", "(pre_queue)", "n", "first-n", "not", "run"] in lines
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")
    assert ["app", "1", moment, "http_503", "said", "[bold]no[/bold]"] in lines
    code, _, wrong = await run("jobs", "show", "999")
    assert code == 1
    assert "no job '999'" in wrong


@pytest.mark.parametrize(
    "arguments", [("show",), ("show", "1", "2"), ("show", "1", "--all"), ("show", "1", "--state", "dead")]
)
async def test_show_wants_one_id_and_nothing_else(run: Run, arguments: tuple[str, ...]) -> None:
    assert (await run("jobs", *arguments))[0] == 2


async def test_a_dry_run_says_how_many_and_changes_nothing(admin: Admin, run: Run) -> None:
    before = await reasons(admin)
    assert await run("jobs", "retry", "--collector", "kept", "--dry-run") == (0, "2 jobs would be retried\n", "")
    assert await run("jobs", "discard", "--all", "--dry-run") == (0, "3 jobs would be discarded\n", "")
    assert await reasons(admin) == before


async def test_dead_ones_are_tried_again_or_given_up(admin: Admin, run: Run) -> None:
    assert await run("jobs", "retry", "--reason", "too_large") == (0, "1 job retried\n", "")
    ids = [str(job.id) for job in await admin.jobs.list_jobs() if job.collector == "other"]
    assert await run("jobs", "discard", *ids) == (0, "1 job discarded\n", "")
    assert await reasons(admin) == [("waiting", "queued", ""), ("kept", "queued", ""), ("kept", "dead", "refused")]
    assert await run("jobs", "discard", "--all") == (0, "1 job discarded\n", "")


async def test_what_the_sidecar_refuses_is_said(run: Run) -> None:
    code, _, said = await run("jobs", "discard", "--since", "yesterday")
    assert code == 1
    assert "since: must be a number" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry",), "ID: retry wants either ids, or a filter such as --reason, or --all"),
        (("discard", "--state", "dead"), "ID: discard wants either"),
        (("discard", "1", "--all"), "ID: discard wants either"),
        (("discard", "1", "--reason", "refused"), "ID: discard wants either"),
        (("discard", "--all", "--collector", "kept"), "ID: discard wants either"),
        (("discard", "--collector", ""), "--collector: is blank"),
        (("discard", "--state", "queued", "--reason", "refused"), "--state: discard takes dead ones only"),
        (("retry", "first"), "ID: 'first' is no id"),
        (("list", "1"), "ID: is for retry and discard alone"),
        (("list", "--limit", "0"), "--limit: must be a number from 1"),
        (("list", "--limit", "1", "--all"), "--limit: must be a number from 1, and not stand beside --all"),
        (("retry", "--all", "--limit", "1"), "--limit: is for list alone"),
        (("list", "--dry-run"), "--dry-run: is for retry and discard alone"),
    ],
)
def test_what_is_not_clear_is_refused_before_anyone_is_asked(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", *arguments]) == 2
    assert said in capsys.readouterr().err
