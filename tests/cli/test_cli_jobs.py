"""`sidecar jobs` on a real admin server with real jobs: what it shows, and that nothing happens unless it is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from support.admin import Admin, open_admin

from sidecar.cli import main
from sidecar.queue.values import NewJob, Rejected, Settlement

Run = Callable[..., Awaitable[tuple[int, str, str]]]


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


@pytest.fixture
def run(admin: Admin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    async def run_main(*arguments: str) -> tuple[int, str, str]:
        where = ("--admin", admin.url.removeprefix("http://"))
        code = await asyncio.to_thread(main, ["jobs", *arguments, *where])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_main


async def reasons(admin: Admin) -> list[tuple[str, str, str]]:
    return [(job.collector, job.state, job.reason) for job in await admin.jobs.list_jobs()]


async def test_jobs_are_shown_by_what_they_are(run: Run) -> None:
    code, said, _ = await run("list")
    assert code == 0
    assert [line.split()[2] for line in said.splitlines()[1:]] == ["waiting", "other", "kept", "kept"]
    _, said, _ = await run(
        "list", "--state", "dead", "--collector", "kept", "--destination", "app", "--reason", "refused"
    )
    (shown,) = said.splitlines()[1:]
    assert shown.split()[2:] == ["kept", "alice", "digits", "app", "dead", "1", "refused"]
    made = shown.split()[1]
    assert len((await run("list", "--until", made))[1].splitlines()) == 1
    assert len((await run("list", "--since", made))[1].splitlines()) == 5


async def test_a_dry_run_says_how_many_and_changes_nothing(admin: Admin, run: Run) -> None:
    before = await reasons(admin)
    assert await run("retry", "--collector", "kept", "--dry-run") == (0, "2 jobs would be retried\n", "")
    assert await run("discard", "--all", "--dry-run") == (0, "3 jobs would be discarded\n", "")
    assert await reasons(admin) == before


async def test_dead_ones_are_tried_again_or_given_up(admin: Admin, run: Run) -> None:
    assert await run("retry", "--reason", "too_large") == (0, "1 job retried\n", "")
    ids = [str(job.id) for job in await admin.jobs.list_jobs() if job.collector == "other"]
    assert await run("discard", *ids) == (0, "1 job discarded\n", "")
    assert await reasons(admin) == [("waiting", "queued", ""), ("kept", "queued", ""), ("kept", "dead", "refused")]
    assert await run("discard", "--all") == (0, "1 job discarded\n", "")


async def test_what_the_sidecar_refuses_is_said(run: Run) -> None:
    code, _, said = await run("discard", "--since", "yesterday")
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
        (("list", "--all"), "--all: is for retry and discard alone"),
        (("list", "--dry-run"), "--dry-run: is for retry and discard alone"),
    ],
)
def test_what_is_not_clear_is_refused_before_anyone_is_asked(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", *arguments]) == 2
    assert said in capsys.readouterr().err
