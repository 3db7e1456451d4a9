"""`sidecar jobs`: see what waits and what is dead in a running sidecar, try dead letters again or give them up.

Over its admin API; what was captured is not shown. A change in bulk wants ids, a filter or `--all`:
nothing is not everything.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from rich.console import Console
from rich.table import Table

from sidecar.cli import job_story, running
from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.settings import Settings

_SHOWN = 1000
_PER_PAGE = 1000
_FILTERS = ("state", "collector", "destination", "reason", "since", "until")
_COLUMNS = ("job", "made", "collector", "caller", "model", "destination", "state", "tries", "reason")
_DONE = {"retry": ("retried", "would_retry"), "discard": ("discarded", "would_discard")}


def jobs(settings: Settings, given: argparse.Namespace) -> int:
    """Exit 0 when it is done, 1 when no sidecar does it. Raises ConfigurationError."""
    narrowed = {name: value for name in _FILTERS if (value := getattr(given, name)) is not None}
    _refuse_unclear(given, narrowed)
    try:
        if given.action == "list":
            _list(settings, narrowed, None if given.all else given.limit or _SHOWN)
        elif given.action == "show":
            job_story.show(running.asked(settings, "GET", f"/v1/jobs/{given.names[0]}")["job"])
        else:
            _change(settings, given, narrowed)
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    return 0


def _refuse_unclear(given: argparse.Namespace, narrowed: Mapping[str, str]) -> None:
    """Raises ConfigurationError where it is not said, or said twice, which jobs are meant."""
    for name, value in narrowed.items():
        if not value:
            raise ConfigurationError(Problem("is blank: leave it out, or say which", field=f"--{name}"))
    wrong = [name for name in given.names if not (name.isascii() and name.isdecimal())]
    if wrong:
        raise ConfigurationError(Problem(f"{wrong[0]!r} is no id: `sidecar jobs list` shows them", field="ID"))
    if given.action == "list":
        _refuse_for_list(given)
    elif given.limit is not None:
        raise ConfigurationError(Problem("is for list alone", field="--limit"))
    elif given.action == "show":
        if narrowed or given.all or given.dry_run or len(given.names) != 1:
            raise ConfigurationError(Problem("show wants the id of one job, and nothing else", field="ID"))
    elif narrowed.get("state", "dead") != "dead":
        raise ConfigurationError(Problem(f"{given.action} takes dead ones only", field="--state"))
    elif [bool(given.names), bool(narrowed.keys() - {"state"}), given.all].count(True) != 1:
        message = f"{given.action} wants either ids, or a filter such as --reason, or --all"
        raise ConfigurationError(Problem(message, field="ID"))


def _refuse_for_list(given: argparse.Namespace) -> None:
    for field, is_given in (("ID", given.names), ("--dry-run", given.dry_run)):
        if is_given:
            raise ConfigurationError(Problem("is for retry and discard alone", field=field))
    if given.limit is not None and (given.limit < 1 or given.all):
        raise ConfigurationError(Problem("must be a number from 1, and not stand beside --all", field="--limit"))


def _list(settings: Settings, narrowed: Mapping[str, str], limit: int | None) -> None:
    found = list(itertools.islice(_newest(settings, narrowed), None if limit is None else limit + 1))
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    for job in found[:limit]:
        for cells in _rows(job):
            table.add_row(*cells)
    Console().print(table)
    if limit is not None and len(found) > limit:
        sys.stderr.write(f"there are more, these are the newest {limit}: --limit and --all show older ones\n")


def _newest(settings: Settings, narrowed: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Every job that is meant, newest first, a page at a time."""
    place: dict[str, int] = {}
    while True:
        query = urlencode({**narrowed, "per_page": _PER_PAGE, **place})
        answer = running.asked(settings, "GET", f"/v1/jobs?{query}")
        yield from answer["jobs"]
        if answer["next_before"] is None:
            return
        place = {"before": answer["next_before"]}


def _rows(job: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """One for each destination that the job has."""
    made = datetime.datetime.fromtimestamp(job["created_at"], datetime.UTC).isoformat(timespec="seconds")
    for each in job["destinations"]:
        yield (
            str(job["id"]), made, job["collector"], job["caller"], job["model"], each["destination"], each["state"],
            str(each["attempts"]), each["reason"] or "–",
        )  # fmt: skip


def _change(settings: Settings, given: argparse.Namespace, narrowed: Mapping[str, str]) -> None:
    ids = [int(name) for name in given.names]
    asked = {"ids": ids, "all": given.all, "dry_run": given.dry_run, **narrowed}
    answer = running.asked(
        settings, "POST", f"/v1/jobs/{given.action}", {name: value for name, value in asked.items() if value}
    )
    done, would = _DONE[given.action]
    count = answer[would if given.dry_run else done]
    what = f"would be {done}" if given.dry_run else done
    sys.stdout.write(f"{count} {'job' if count == 1 else 'jobs'} {what}\n")
