"""`sidecar export`: the inputs in a sidecar's app, or the jobs in its queue, as a file of our JSONL or as record files.

Reads the data folder, whether the sidecar runs or not, and changes nothing there. Each file is whole or not there. Of
what comes or goes meanwhile some is in it and some is not; what stays is in it once.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import sqlalchemy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import ColumnElement, Connection, Table, select, tuple_

from sidecar.backtest.sources import recorded_input, recorded_job
from sidecar.cli.stored import stored_at
from sidecar.data import to_wire
from sidecar.delivery.destination import input_id_of
from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.files import write_whole, writing_whole
from sidecar.records.entries import Entry, Known, read_entries, write_entry
from sidecar.records.exchanges import write_exchange
from sidecar.records.formats import FORMATS, check_format
from sidecar.records.recorded import Recorded
from sidecar.settings import Settings
from sidecar.store.inputs import get_input
from sidecar.store.tables import INPUT, JOB

EXCHANGE = "exchange"
STANDARD_OUTPUT = "-"
MOST_BYTES = 32 * 2**20
"""Of inputs that stand in one record file, by their lines."""
AT_ONCE = 500
"""Names that are read in one go; what they name is read one by one, as an image may be large."""
_OWNER_ONLY = 0o600
_TABLES: dict[str, Table] = {"app": INPUT, "queue": JOB}


def export(settings: Settings, given: argparse.Namespace) -> int:
    """Write them; exit 1 when some cannot be written, which are named. Raises ConfigurationError."""
    table, count, failed = _TABLES[given.source], 0, 0
    wanted: list[ColumnElement[bool]] = [table.c.collector == given.collector] if given.collector else []
    _check(given)
    database = stored_at(settings)
    try:
        with database.connect() as connection, _sink(given) as write, _progress() as progress:
            counting = select(sqlalchemy.func.count()).select_from(table).where(*wanted)
            bar = progress.add_task("exported", total=connection.execute(counting).scalar_one())
            for recorded in (_inputs if given.source == "app" else _jobs)(connection, wanted):
                try:
                    write(recorded)
                    count += 1
                except orjson.JSONEncodeError as error:
                    failed += 1
                    sys.stderr.write(f"sidecar: {recorded.input_id or recorded.id.hex()} cannot be written: {error}\n")
                progress.advance(bar)
    finally:
        database.dispose()
    (sys.stderr if given.to == STANDARD_OUTPUT else sys.stdout).write(f"{count:,} inputs in {given.to}\n")
    return 1 if failed else 0


def _check(given: argparse.Namespace) -> None:
    """Raises ConfigurationError for a format that there is not, or that does not go there."""
    try:
        check_format(given.format)
    except ValueError as error:
        raise ConfigurationError(Problem(str(error), "--format")) from error
    if given.to == STANDARD_OUTPUT and given.format != EXCHANGE:
        raise ConfigurationError(Problem(f"only {EXCHANGE} is one file: name a folder", "--to"))


@contextlib.contextmanager
def _sink(given: argparse.Namespace) -> Iterator[Callable[[Recorded], object]]:
    """What writes an input. Standard output is what it is, say a pipe out of a container."""
    if given.format != EXCHANGE:
        files = _RecordFiles(Path(given.to), given.format, given.source)
        yield files.write
        files.flush()
    elif given.to == STANDARD_OUTPUT:
        yield lambda recorded: sys.stdout.buffer.write(write_exchange(recorded))
    else:
        with writing_whole(Path(given.to), _OWNER_ONLY) as file:
            yield lambda recorded: file.write(write_exchange(recorded))


class _RecordFiles:
    """Writes inputs as record files below a folder, so many at a time."""

    def __init__(self, folder: Path, format_: str, source: str) -> None:
        self._folder = folder
        self._write = FORMATS[format_]
        self._source = source
        self._entries: list[Entry] = []
        self._bytes = self._number = 0

    def write(self, recorded: Recorded) -> None:
        entry = _entry_of(recorded)
        self._entries.append(entry)
        self._bytes += len(entry.line)
        if len(self._entries) >= AT_ONCE or self._bytes >= MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        for file in self._write(self._entries, f"{self._source}-{self._number:06}"):
            path = self._folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, file.content, _OWNER_ONLY)
        self._entries, self._bytes, self._number = [], 0, self._number + 1


def _entry_of(recorded: Recorded) -> Entry:
    call = recorded.call
    given, output = call.inputs[0], call.outputs[0]
    status = given.metadata.get("status")
    known = Known(
        input_id=recorded.input_id or input_id_of(recorded.id.hex(), recorded.first_index, recorded.collector),
        exchange_id=recorded.id.hex(),
        input_index=recorded.first_index,
        started_at=recorded.started_at,
        latency_seconds=recorded.latency_seconds,
        status=status if isinstance(status, int) else 0,
        caller=recorded.caller,
        model=call.model,
        version=call.version,
        collector=recorded.collector,
        sample_exchanges=recorded.sample_exchanges,
        sample_inputs=recorded.sample_inputs,
        created_at=recorded.started_at,
    )
    answered = None if output is None else orjson.dumps(to_wire(output))
    (entry,) = read_entries(write_entry(known, orjson.dumps(to_wire(given)), answered, None))
    return entry


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _inputs(connection: Connection, wanted: list[ColumnElement[bool]]) -> Iterator[Recorded]:
    """App by app, oldest first."""
    order = (INPUT.c.user_id, INPUT.c.app_id, INPUT.c.created_at, INPUT.c.id)
    statement = select(*order).where(*wanted).order_by(*order).limit(AT_ONCE)
    names = connection.execute(statement).all()
    while names:
        for user_id, app_id, _, name in names:
            stored = get_input(connection, user_id, app_id, name)
            if stored is not None:
                yield recorded_input(stored)
        names = connection.execute(statement.where(tuple_(*order) > tuple_(*names[-1]))).all()


def _jobs(connection: Connection, wanted: list[ColumnElement[bool]]) -> Iterator[Recorded]:
    """Pending and dead, in the order in which they were queued."""
    statement = select(JOB.c.id).where(*wanted).order_by(JOB.c.id).limit(AT_ONCE)
    ids = connection.execute(statement).scalars().all()
    while ids:
        for number in ids:
            row = connection.execute(select(JOB).where(JOB.c.id == number)).one_or_none()
            if row is not None:
                yield recorded_job(row, orjson.loads(row.details))
        ids = connection.execute(statement.where(JOB.c.id > ids[-1])).scalars().all()
