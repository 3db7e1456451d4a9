"""The policies folder as the engine lives with it: read at the start, and again whenever it changes.

Promises that a change needs no restart and costs no job: what is pending for a collector whose file is gone is dropped
under a name and counted, everything else goes on, and a file that cannot be used leaves its last good version running.
What cannot be taken over now, say since the disk is full, is tried again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.events import Events
from sidecar.pipeline.credentials import problems_of_secrets
from sidecar.policy.catalog import Catalog
from sidecar.policy.folder_watch import GONE_SECONDS, FolderWatch
from sidecar.queue.jobs import JobQueue


class LivePolicies:
    """What the files of one folder gave the catalog, and what is wrong with them."""

    def __init__(
        self, folder: Path, catalog: Catalog, jobs: JobQueue, events: Events, gone_seconds: float = GONE_SECONDS
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._jobs = jobs
        self._events = events
        self._watch = FolderWatch(folder, gone_seconds)
        self._missing: tuple[Problem, ...] = ()
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
        """Read the folder. Raises CapacityError or sqlalchemy's errors; then nothing has changed."""
        problems = await self._catalog.load_files(self._folder)
        missing = tuple(await asyncio.to_thread(problems_of_secrets, self._catalog.models))
        news = [problem for problem in missing if problem not in self._missing]
        if news:
            self._events.policy_broken(ConfigurationError(news))
        self._missing = missing
        self.problems = (*problems, *missing)

    async def follow(self) -> None:
        """Read the folder after each of its changes, without end."""
        async for _ in self._watch.changes():
            before = self.collectors
            try:
                await self.load()
                for collector in before - self.collectors:
                    await self._jobs.drop_pending(collector)
            except (SidecarError, SQLAlchemyError) as error:
                self._events.policies_not_read(error)
                self._watch.again()
