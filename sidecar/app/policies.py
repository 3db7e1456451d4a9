"""The policies folder, its graphs too, as the engine lives with it: read at the start, and again whenever it changes.

Promises that a change needs no restart and costs no job: what is pending for a collector whose file is gone is dropped
under a name and counted, everything else goes on, and a file that cannot be used leaves its last good version running.
What cannot be taken over now, say since the disk is full, is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.events import Events
from sidecar.pipeline.credentials import problems_of_secrets
from sidecar.policy.catalog import Catalog
from sidecar.policy.folder_watch import GONE_SECONDS, FolderWatch
from sidecar.policy.graphs import GraphFiles
from sidecar.queue.jobs import JobQueue


class LivePolicies:
    """What the files of one folder gave the catalog, and what is wrong with them."""

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        jobs: JobQueue,
        events: Events,
        graphs: GraphFiles,
        gone_seconds: float = GONE_SECONDS,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._jobs = jobs
        self._events = events
        self._graphs = graphs
        self._watches = (FolderWatch(folder, gone_seconds), FolderWatch(graphs.folder, gone_seconds))
        self._beside: tuple[Problem, ...] = ()
        self.on_graphs: Callable[[], object] = lambda: None
        """Called when a knowledge graph has changed."""
        self.problems: tuple[Problem, ...] = ()
        """What is wrong with the files as they were read last."""

    @property
    def broken_files(self) -> int:
        """How many files have a fault, and so give their last good version, or nothing."""
        return len({problem.file for problem in self.problems})

    @property
    def collectors(self) -> frozenset[str]:
        """The keys of all collectors there are."""
        return frozenset(collector.key for collector in self._catalog.snapshot.collectors)

    async def load(self) -> None:
        """Read the folder. Raises CapacityError or sqlalchemy's errors; then no policy has changed."""
        have_changed = self._graphs.take(await asyncio.to_thread(self._graphs.read))
        problems = await self._catalog.load_files(self._folder)
        beside = (*await asyncio.to_thread(problems_of_secrets, self._catalog.models), *self._graphs.problems)
        news = [problem for problem in beside if problem not in self._beside]
        if news:
            self._events.policy_broken(ConfigurationError(news))
        self._beside = beside
        self.problems = (*problems, *beside)
        if have_changed:
            self.on_graphs()

    async def follow(self) -> None:
        """Read the folder after each of its changes, without end."""
        async with asyncio.TaskGroup() as following:
            for watch in self._watches:
                following.create_task(self._follow(watch))

    async def _follow(self, watch: FolderWatch) -> None:
        async for _ in watch.changes():
            before = self.collectors
            try:
                await self.load()
                for collector in before - self.collectors:
                    await self._jobs.drop_pending(collector)
            except (SidecarError, SQLAlchemyError) as error:
                self._events.policies_not_read(error)
                watch.again()
