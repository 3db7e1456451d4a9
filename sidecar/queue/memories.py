"""What workflows' nodes remember, in the table `node_memory`: statements on a connection, as in `statements`.

Written in the transaction of the verdicts that it led to, so that no kill forgets a quota that was spent, nor keeps one
that was not counted. A change says what it adds: those of two batches may be written in either order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from sidecar.memory import Change, Entry, Place
from sidecar.store.insert import add_counts
from sidecar.store.tables import NODE_MEMORY

Key = tuple[Place, str]
_KEY = (*Place._fields, "name")
_FORGET = delete(NODE_MEMORY).where(*(NODE_MEMORY.c[name] == bindparam(f"the_{name}") for name in _KEY))
_COLUMNS = (*Place._fields, "name", "at", "count", "content")
_READ = select(*(NODE_MEMORY.c[name] for name in _COLUMNS))


def remember(connection: Connection, changes: Sequence[Change]) -> None:
    """Carry out `changes`, in their order."""
    put, forgotten = _folded(changes)
    if forgotten:
        keys = [dict(zip(_KEY, (*place, name), strict=True)) for place, name in sorted(forgotten)]
        connection.execute(_FORGET, [{f"the_{column}": value for column, value in key.items()} for key in keys])
    rows = [dict(zip(_COLUMNS, (*place, *entry), strict=True)) for (place, _), entry in sorted(put.items())]
    add_counts(connection, NODE_MEMORY, rows, latest="at")


def _folded(changes: Sequence[Change]) -> tuple[dict[Key, Entry], set[Key]]:
    """What is put in all, and what is forgotten before that."""
    put: dict[Key, Entry] = {}
    forgotten: set[Key] = set()
    for change in changes:
        entry = change.entry
        key = (change.memory.place, entry.name)
        if change.is_forgotten:
            put.pop(key, None)
            forgotten.add(key)
            continue
        earlier = put.get(key)
        if earlier is not None:
            entry = entry._replace(at=max(entry.at, earlier.at), times=entry.times + earlier.times)
        put[key] = entry
    return put, forgotten


def read(connection: Connection, collectors: Collection[str]) -> dict[Place, list[Entry]]:
    """What the nodes of `collectors` remember."""
    found: dict[Place, list[Entry]] = {}
    size = len(Place._fields)
    for row in connection.execute(_READ):
        place = Place._make(row[:size])
        if place.collector in collectors:
            found.setdefault(place, []).append(Entry._make(row[size:]))
    return found


def forget(connection: Connection, collector: str) -> None:
    """A collector is gone, and what its nodes remember with it."""
    connection.execute(delete(NODE_MEMORY).where(NODE_MEMORY.c.collector == collector))


def forget_others(connection: Connection, collectors: Collection[str]) -> None:
    """Every collector that is not among `collectors` is gone."""
    for (collector,) in connection.execute(select(NODE_MEMORY.c.collector).distinct()).all():
        if collector not in collectors:
            forget(connection, collector)
