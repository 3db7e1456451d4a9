"""Concept relations made over the API: each app's own knowledge graph, live.

Owns the table of relations and the view of them that workflows are compiled on. Promises that a change is whole or not
at all, that changes follow one another, and that `graphs` shows a change before anybody is told of it. A relation is
one, from whichever end it is written: `siamese hyponym cat` is `cat hypernym siamese`, under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import sqlalchemy
from sqlalchemy import Connection, delete, select

from sidecar.collector import KnowledgeGraph, Predicate
from sidecar.errors import ConfigurationError, ConflictError, NotFoundError, Problem
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.kit.ids import digest
from sidecar.store.audit import Change, who_acts, write_changes
from sidecar.store.database import Database
from sidecar.store.insert import insert_new
from sidecar.store.tables import CONCEPT_RELATION

MOST_RELATIONS = 10_000
"""Of one app: a change has every workflow compiled again."""
App = tuple[str, str]
"""(user, app)."""


class Relation(NamedTuple):
    """`subject` `predicate` `other`, all three as written."""

    subject: str
    predicate: Predicate
    other: str

    @property
    def id(self) -> str:
        """32 hexadecimal digits, the same for what says the same."""
        first, second = self.subject, self.other
        predicate = Predicate.SYNONYM if self.predicate is Predicate.SYNONYM else Predicate.HYPONYM
        if self.predicate is Predicate.HYPERNYM or (self.predicate is Predicate.SYNONYM and first > second):
            first, second = second, first
        return digest(first, predicate.value, second).hex()

    def seen_from(self, concept: str) -> Relation:
        """The same with `concept`, one of its two, as the subject."""
        return self if concept == self.subject else Relation(self.other, self.predicate.reversed, self.subject)


class Relations:
    """Reads and changes the relations of every app. A method that raises has changed nothing."""

    def __init__(self, database: Database, events: Events, clock: Clock) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._one_change = asyncio.Lock()
        self._relations: dict[App, dict[str, Relation]] = {}
        self._graphs: dict[App, KnowledgeGraph] = {}
        self.graphs: Mapping[App, KnowledgeGraph] = MappingProxyType(self._graphs)
        """Each app's own graph, always the one of now; an app without relations has none."""
        self.on_change: Callable[[], object] = lambda: None
        """Called after each change."""

    async def open(self) -> None:
        """Read what the database holds."""
        for app, relations in (await self._database.read(read_relations)).items():
            self._take(app, relations)

    def list(self, app: App, concept: str = "", predicate: Predicate | None = None) -> Sequence[Relation]:
        """An app's relations, oldest first: all as written, those of `concept` as seen from it."""
        found: Iterable[Relation] = self._relations.get(app, {}).values()
        if concept:
            found = (each.seen_from(concept) for each in found if concept in (each.subject, each.other))
        return [each for each in found if predicate in (None, each.predicate)]

    async def add(self, app: App, relations: Sequence[Relation]) -> None:
        """Make relations, all or none. Raises ConflictError for one that is there, ConfigurationError for too many."""
        async with self._one_change:
            if len(self._relations.get(app, ())) + len(relations) > MOST_RELATIONS:
                message = f"an app has at most {MOST_RELATIONS} relations: a file in graphs/ may hold more"
                raise ConfigurationError(Problem(message, "concept_relations"))
            rows = [_row(app, each, self._clock.now()) for each in relations]

            def insert(connection: Connection) -> dict[str, Relation]:
                for index, is_new in enumerate(insert_new(connection, CONCEPT_RELATION, rows)):
                    if not is_new:
                        raise ConflictError(f"concept_relations[{index}]: is there already, or stands twice")
                return _of(connection, app)

            await self._change(app, "added", insert, len(rows))

    async def remove(self, app: App, concept: str, ids: Sequence[str]) -> None:
        """Delete relations of `concept`, from either end, all or none. Raises NotFoundError."""
        async with self._one_change:
            known = {each.id for each in self.list(app, concept)}
            for index, name in enumerate(ids):
                if name not in known:
                    raise NotFoundError(f"ids[{index}]: concept {concept!r} has no relation {name!r}")

            def remove(connection: Connection) -> dict[str, Relation]:
                connection.execute(delete(CONCEPT_RELATION).where(*_in(app), CONCEPT_RELATION.c.id.in_(ids)))
                return _of(connection, app)

            await self._change(app, "deleted", remove, len(set(ids)))

    async def _change(
        self, app: App, action: str, work: Callable[[Connection], dict[str, Relation]], count: int
    ) -> None:
        old, who, now, name = self._relations.get(app, {}), who_acts(), self._clock.now(), "/".join(app)

        def transact(connection: Connection) -> tuple[dict[str, Relation], Change]:
            new = work(connection)
            before = [_told(each) for key, each in old.items() if key not in new]
            after = [_told(each) for key, each in new.items() if key not in old]
            change = Change(f"concept_relations.{action}", name, before=before or None, after=after or None)
            write_changes(connection, who, now, [change])
            return new, change

        relations, change = await self._database.write(transact)
        self._take(app, relations)
        self._events.changed(who, change.kind, change.subject)
        self._events.policy_changed(action, "concept relation", (f"{app[0]}/{app[1]}: {count}",))
        self.on_change()

    def _take(self, app: App, relations: dict[str, Relation]) -> None:
        self._relations[app] = relations
        self._graphs[app] = KnowledgeGraph(tuple(relations.values()))


def read_relations(connection: Connection) -> dict[App, dict[str, Relation]]:
    """Every app's relations by id, oldest first."""
    columns = (CONCEPT_RELATION.c.user_id, CONCEPT_RELATION.c.app_id)
    apps = connection.execute(select(*columns).distinct())
    return {app: _of(connection, app) for app in [(row.user_id, row.app_id) for row in apps]}


def read_graphs(connection: Connection) -> dict[App, KnowledgeGraph]:
    """Each app's own graph; none in a database from before there were any."""
    if not sqlalchemy.inspect(connection).has_table(CONCEPT_RELATION.name):
        return {}
    return {app: KnowledgeGraph(tuple(found.values())) for app, found in read_relations(connection).items()}


def _told(relation: Relation) -> str:
    return f"{relation.subject} {relation.predicate.value} {relation.other}"


def _of(connection: Connection, app: App) -> dict[str, Relation]:
    order = (CONCEPT_RELATION.c.created_at, CONCEPT_RELATION.c.subject, CONCEPT_RELATION.c.other)
    rows = connection.execute(select(CONCEPT_RELATION).where(*_in(app)).order_by(*order))
    return {row.id: Relation(row.subject, Predicate(row.predicate), row.other) for row in rows}


def _in(app: App) -> tuple[sqlalchemy.ColumnElement[bool], ...]:
    return (CONCEPT_RELATION.c.user_id == app[0], CONCEPT_RELATION.c.app_id == app[1])


def _row(app: App, relation: Relation, now: float) -> dict[str, str | float]:
    return {
        "user_id": app[0],
        "app_id": app[1],
        "id": relation.id,
        "subject": relation.subject,
        "predicate": relation.predicate.value,
        "other": relation.other,
        "created_at": now,
    }
