"""`sidecar backtest`: what a policy would have kept of recorded exchanges. Posts nothing and changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import orjson
import sqlalchemy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sidecar.backtest.comparison import Comparison
from sidecar.backtest.drafts import read_draft
from sidecar.backtest.report import PROBLEMS, report
from sidecar.backtest.sources import SOURCES, decoded
from sidecar.backtest.trial import ask_none
from sidecar.capture.arrival import ArrivalReader
from sidecar.capture.caller import Callers, read_keys
from sidecar.cli.backtest_tables import show
from sidecar.cli.stored import has_run, stored_at
from sidecar.collector import KnowledgeGraph
from sidecar.data import Data
from sidecar.errors import Problem
from sidecar.events import Events
from sidecar.exchange import Exchange
from sidecar.kit import logs
from sidecar.model_server import ModelServer
from sidecar.pipeline.model_client import new_session
from sidecar.pipeline.models import ModelServers
from sidecar.policy.relations import read_graphs
from sidecar.records.files import Found, read_records, record_files
from sidecar.settings import Settings
from sidecar.workflow.run import ModelRequest

Advance = Callable[[int], object]


def backtest(settings: Settings, given: argparse.Namespace) -> int:
    """Print what was found; exit 0. Raises ConfigurationError."""
    graphs = _app_graphs(settings)
    first = read_draft(given.policy, settings.policies, settings.models, graphs)
    second = read_draft(given.against, settings.policies, settings.models, graphs) if given.against else None
    with ExitStack() as parts:
        servers = (*first.servers, *(second.servers if second else ()))
        ask = parts.enter_context(Asking(servers, given.ask_models)).ask if given.ask_models else ask_none
        comparison = Comparison(first.trial(ask), second.trial(ask) if second else None)
        total, records = _records_of(settings, given.on)
        progress = parts.enter_context(_progress(total))
        bar = progress.add_task("exchanges", total=total)
        problems, count = _run(comparison, settings, records(lambda done: progress.advance(bar, done)), given.limit)
        progress.update(bar, completed=total)
    found = report(comparison, problems, count)
    if given.json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
    else:
        show(found, Console())
    return 0


def _progress(total: int) -> Progress:
    """On standard error, so that what is printed can go into a file."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not total)


def _run(
    comparison: Comparison, settings: Settings, records: Iterator[Found], limit: int | None
) -> tuple[list[Problem], int]:
    """The first problems, and how many there were."""
    keys = read_keys(settings.keys) if settings.keys else {}
    arrivals = ArrivalReader(Callers(settings.caller_header, keys), settings.metadata_headers)
    problems: list[Problem] = []
    count = taken = 0
    for found in records:
        if isinstance(found, Problem):
            count += 1
            problems += [found] if len(problems) < PROBLEMS else []
            continue
        recorded = decoded(found, arrivals) if isinstance(found, Exchange) else found
        if recorded is None:
            continue  # no predict call: it would not have been looked at
        comparison.take(recorded)
        taken += 1
        if taken == limit:
            break
    return problems, count


def _records_of(settings: Settings, place: str) -> tuple[int, Callable[[Advance], Iterator[Found]]]:
    """How much there is, and how to read it. Raises ConfigurationError."""
    if place in SOURCES:
        return _stored(settings, place)
    paths = record_files(Path(place))
    return sum(path.stat().st_size for path in paths), lambda advance: read_records(paths, advance)


def _stored(settings: Settings, place: str) -> tuple[int, Callable[[Advance], Iterator[Found]]]:
    """What the database holds."""
    database = stored_at(settings, "--on")
    table, read = SOURCES[place]
    with database.connect() as connection:
        total = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar_one()

    def records(advance: Advance) -> Iterator[Found]:
        after = 0
        try:
            while True:
                with database.connect() as connection:
                    page, after = read(connection, after)
                if not page:
                    return
                yield from page
                advance(len(page))
        finally:
            database.dispose()

    return total, records


def _app_graphs(settings: Settings) -> Mapping[tuple[str, str], KnowledgeGraph]:
    """The apps' own knowledge graphs, where a sidecar has run with this --data."""
    if not has_run(settings):
        return {}
    database = stored_at(settings)
    with database.connect() as connection:
        found = read_graphs(connection)
    database.dispose()
    return found


class Asking:
    """Asks models one call after the other, a bounded number of them."""

    def __init__(self, servers: tuple[ModelServer, ...], most: int) -> None:
        self._servers = tuple({server.id: server for server in servers}.values())
        self._left = most

    def __enter__(self) -> Asking:
        self._runner = asyncio.Runner()
        self._runner.__enter__()
        self._session = self._runner.run(_new_session())
        self._models = ModelServers(self._servers, self._session, Events(logs.configure("error", process="backtest")))
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._session.close())
        self._runner.close()

    def ask(self, request: ModelRequest) -> Data | None:
        """The answer; None once the bound is reached. Raises the tree's errors."""
        if not self._left:
            return None
        self._left -= 1
        return self._runner.run(self._models.ask_once(request))


async def _new_session() -> aiohttp.ClientSession:
    return new_session()
