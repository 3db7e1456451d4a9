"""`sidecar export`: the inputs in a sidecar's app, or the jobs in its queue, as a file of our JSONL.

Reads the data folder, whether the sidecar runs or not, and changes nothing there. The file is whole or not there. Of
what comes or goes meanwhile some is in it and some is not; what stays is in it once.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson
import sqlalchemy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import ColumnElement, Connection, Table, select, tuple_

from sidecar.backtest.sources import recorded_input, recorded_job
from sidecar.cli.stored import stored_at
from sidecar.kit.files import writing_whole
from sidecar.records.exchanges import write_exchange
from sidecar.records.recorded import Recorded
from sidecar.settings import Settings
from sidecar.store.inputs import get_input
from sidecar.store.tables import INPUT, JOB

STANDARD_OUTPUT = "-"
AT_ONCE = 500
"""Names that are read in one go; what they name is read one by one, as an image may be large."""
_OWNER_ONLY = 0o600
_TABLES: dict[str, Table] = {"app": INPUT, "queue": JOB}


def export(settings: Settings, given: argparse.Namespace) -> int:
    """Write them; exit 1 when some cannot be written, which are named. Raises ConfigurationError."""
    table, count, failed = _TABLES[given.source], 0, 0
    wanted: list[ColumnElement[bool]] = [table.c.collector == given.collector] if given.collector else []
    database = stored_at(settings)
    try:
        with database.connect() as connection, _opened(given.to) as file, _progress() as progress:
            counting = select(sqlalchemy.func.count()).select_from(table).where(*wanted)
            bar = progress.add_task("exported", total=connection.execute(counting).scalar_one())
            for recorded in (_inputs if given.source == "app" else _jobs)(connection, wanted):
                try:
                    file.write(write_exchange(recorded))
                    count += 1
                except orjson.JSONEncodeError as error:
                    failed += 1
                    sys.stderr.write(f"sidecar: {recorded.input_id or recorded.id.hex()} cannot be written: {error}\n")
                progress.advance(bar)
    finally:
        database.dispose()
    (sys.stderr if given.to == STANDARD_OUTPUT else sys.stdout).write(f"{count:,} inputs in {given.to}\n")
    return 1 if failed else 0


def _opened(to: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """The file, whole or not there; standard output is what it is, say a pipe out of a container."""
    if to == STANDARD_OUTPUT:
        return contextlib.nullcontext(sys.stdout.buffer)
    return writing_whole(Path(to), _OWNER_ONLY)


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
