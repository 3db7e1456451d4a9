"""Policies as rows of their tables: functions on a connection; whoever calls them owns the transaction.

`body` is the JSON that `write_collector` and `write_workflow` give; who owns a policy stands in the row's columns.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Table, delete, select

from sidecar.collector import Collector, ManagedBy, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.checks import Snapshot, key_of
from sidecar.policy.wire import read_collector, write_collector
from sidecar.policy.workflow_wire import read_workflow, write_workflow
from sidecar.store.tables import COLLECTOR, WORKFLOW

Policy = Collector | Workflow
REMEMBERED_COLLECTORS = 20_000


def read_snapshot(connection: Connection) -> Snapshot:
    """All policies, in the order they were made."""
    workflows = map(_workflow, connection.execute(_ordered(WORKFLOW)))
    return Snapshot(
        tuple(map(_collector, connection.execute(_ordered(COLLECTOR)))), {key_of(each): each for each in workflows}
    )


def insert(connection: Connection, policies: Iterable[Policy]) -> None:
    """Insert policies whose ids are new. Raises sqlalchemy's IntegrityError when one is not."""
    for policy in policies:
        connection.execute(_table(policy).insert(), _row(policy))


def replace(connection: Connection, policies: Iterable[Policy]) -> None:
    """Write the new version of policies that are there."""
    for policy in policies:
        remove(connection, [policy])
        connection.execute(_table(policy).insert(), _row(policy))


def remove(connection: Connection, policies: Iterable[Policy]) -> None:
    for policy in policies:
        table = _table(policy)
        user_id, app_id, name = key_of(policy)
        named = (table.c.user_id == user_id, table.c.app_id == app_id, table.c.id == name)
        connection.execute(delete(table).where(*named))


def replace_files(connection: Connection, policies: Iterable[Policy]) -> None:
    """Replace all that files manage by `policies`."""
    for table in (COLLECTOR, WORKFLOW):
        connection.execute(delete(table).where(table.c.managed_by == ManagedBy.FILE.value))
    insert(connection, policies)


def _table(policy: Policy) -> Table:
    return COLLECTOR if isinstance(policy, Collector) else WORKFLOW


def _ordered(table: Table) -> Any:  # noqa: ANN401 - sqlalchemy's own statement type
    return select(table).order_by(table.c.created_at, table.c.user_id, table.c.app_id, table.c.id)


def _row(policy: Policy) -> dict[str, Any]:
    wire = write_collector(policy) if isinstance(policy, Collector) else write_workflow(policy)
    return {
        "user_id": policy.user_id,
        "app_id": policy.app_id,
        "id": policy.id,
        "body": _dump(wire, policy.id),
        "managed_by": policy.managed_by.value,
        "origin": policy.origin,
        "created_at": datetime.datetime.fromisoformat(policy.created_at).timestamp() if policy.created_at else 0.0,
    }


def _dump(wire: dict[str, Any], name: str) -> str:
    try:
        return orjson.dumps(wire).decode()
    except orjson.JSONEncodeError as error:
        raise ConfigurationError(Problem(f"nests too deeply to be kept: {error}", field=name)) from error


def _collector(row: Row[Any]) -> Collector:
    return _read_collector(row.user_id, row.app_id, row.body, row.managed_by, row.origin)


@functools.lru_cache(REMEMBERED_COLLECTORS)
def _read_collector(user_id: str, app_id: str, body: str, managed_by: str, origin: str) -> Collector:
    """Remembered, as a change of one reads them all again."""
    wire = orjson.loads(body)
    read = read_collector(wire, user_id, app_id, created_at=wire.get("created_at", ""))
    return dataclasses.replace(read, managed_by=ManagedBy(managed_by), origin=origin)


def _workflow(row: Row[Any]) -> Workflow:
    wire = orjson.loads(row.body)
    read = read_workflow(wire, row.user_id, row.app_id, created_at=wire.get("created_at", ""))
    return dataclasses.replace(read, managed_by=ManagedBy(row.managed_by), origin=row.origin)
