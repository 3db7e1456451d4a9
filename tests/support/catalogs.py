"""A real catalog on a real database with real secrets, and its log as text."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from sidecar.collector import Destination, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.policy.catalog import Catalog
from sidecar.policy.relations import Relations
from sidecar.store.database import Database, sqlite_url
from sidecar.store.secrets import Secrets, load_key
from support.clock import FakeClock


class Shop(NamedTuple):
    """A catalog and what it stands on."""

    catalog: Catalog
    relations: Relations
    database: Database
    secrets: Secrets
    events: Events
    clock: FakeClock
    log: io.StringIO
    data: Path

    @property
    def bytes_on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.data.glob("sidecar.db*"))


def check_workflow(workflow: Workflow) -> None:
    """Stands for compiling: a node of type `broken` cannot run."""
    for index, node in enumerate(workflow.nodes):
        if node.model.type_id == "broken":
            raise ConfigurationError(Problem("is no operator", f"nodes[{index}].model.model_type_id"))


def check_destination(destination: Destination) -> None:
    if destination.kind not in ("app", "clarifai"):
        raise ConfigurationError(Problem(f"there is no kind {destination.kind!r}", "destination.kind"))


@contextlib.asynccontextmanager
async def open_shop(data: Path) -> AsyncIterator[Shop]:
    log = io.StringIO()
    events, clock = Events(logs.configure("debug", log)), FakeClock()
    async with Database(sqlite_url(data)) as database:
        secrets = Secrets(database, load_key(data))
        catalog = Catalog(
            database,
            events,
            clock,
            check_workflow=check_workflow,
            check_destination=check_destination,
            store_secret=secrets.add,
            is_secret=secrets.is_known,
        )
        await catalog.open()
        relations = Relations(database, events, clock)
        await relations.open()
        yield Shop(catalog, relations, database, secrets, events, clock, log, data)
