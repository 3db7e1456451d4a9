"""The live catalog: every collector and workflow, from files and from the API, in one place.

Owns the tables of policies and the snapshot in memory that everything else reads. Promises that each change is whole or
not at all, that changes follow one another, that what a file manages is changed only by that file, and that a key given
in clear is encrypted before it is written, answered or logged.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from sidecar.collector import DEFAULT_APP, DEFAULT_USER, Collector, Destination, RedactRule, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.events import Events
from sidecar.kit.clock import Clock, rfc3339
from sidecar.model_server import ModelServer
from sidecar.policy import rows
from sidecar.policy.changes import (
    is_from_file,
    patched_collector,
    patched_workflow,
    problems_of_new,
    refuse_managed,
    refuse_used,
)
from sidecar.policy.checks import (
    Judges,
    Key,
    Outcome,
    Snapshot,
    key_of,
    models_taken,
    problems_of_collector,
    settle,
    settle_models,
)
from sidecar.policy.differences import changes_between
from sidecar.policy.files import Loaded, read_folder
from sidecar.policy.several import (
    Require,
    Wires,
    accept_any,
    find,
    find_all,
    read_all,
    refuse_repeated,
    show_old,
)
from sidecar.policy.wire import read_collector
from sidecar.policy.workflow_wire import read_workflow
from sidecar.store.audit import FILES, Change, who_acts, write_changes
from sidecar.store.database import Database

PolicyT = TypeVar("PolicyT", Collector, Workflow)


class Catalog:
    """Reads and changes policies. Every method that changes any raises ConfigurationError, and then changed nothing."""

    def __init__(
        self,
        database: Database,
        events: Events,
        clock: Clock,
        *,
        check_workflow: Callable[[Workflow], object],
        check_destination: Callable[[Destination], object],
        store_secret: Callable[[str], Awaitable[str]],
        is_secret: Callable[[str], Awaitable[bool]],
        check_after_queue: Callable[[Workflow], object] = lambda _: None,
        check_redact: Callable[[Sequence[RedactRule]], object] = lambda _: None,
        on_change: Callable[[], object] = lambda: None,
        taken_models: Collection[str] = (),
    ) -> None:
        """`check_…` raise ConfigurationError; `store_secret` gives the reference that `is_secret` then knows.

        `taken_models` are ids that no file may give a model: the settings have them.
        """
        self._database = database
        self._events = events
        self._clock = clock
        self._judges = Judges(check_workflow, check_destination, check_after_queue, check_redact)
        self._store_secret = store_secret
        self._is_secret = is_secret
        self._taken_models = taken_models
        self._one_change = asyncio.Lock()
        self.on_change = on_change
        """Called after each change, with the new snapshot in place."""
        self.snapshot = Snapshot()
        self._known: set[tuple[Problem, int | None]] = set()
        """The files' problems that were logged, each with its file's checksum."""
        self.models: tuple[ModelServer, ...] = ()
        """The model servers of the files that were read last; a broken one's last good version stays."""

    async def open(self) -> None:
        """Read what the database holds."""
        self.snapshot = await self._database.read(rows.read_snapshot)
        self.on_change()

    async def load_files(self, folder: Path) -> list[Problem]:
        """Let the files in `folder` replace all that files manage, in one transaction; give every problem found.

        A file with a problem keeps the last good version of what it gave, here and in the database; so do all of a
        folder that is not there. A problem is logged when it is new, or its file was written anew.
        """
        async with self._one_change:
            self.snapshot = await self._database.read(rows.read_snapshot)
            had_any = bool(self.models) or any(map(is_from_file, self._policies()))
            try:
                loaded = await asyncio.to_thread(read_folder, folder, must_exist=had_any)
            except ConfigurationError as error:
                return self._said(error.problems, {})
            loaded = loaded.without(models_taken(loaded, self._taken_models))
            outcome = await self._settle(loaded)
        return self._said(outcome.problems, loaded.texts)

    async def _settle(self, loaded: Loaded) -> Outcome:
        """Have what `loaded` says. Where that fails, everything is as it was."""
        models, self.models = self.models, settle_models(loaded, self.models)
        try:
            outcome = await asyncio.to_thread(settle, loaded, self.snapshot, self._judges)
            is_taken = await self._take(outcome)
        except BaseException:
            self.models = models
            raise
        if not is_taken and models != self.models:
            self.on_change()
        return outcome

    def _said(self, problems: Sequence[Problem], texts: Mapping[str, int]) -> list[Problem]:
        known, self._known = self._known, {(problem, texts.get(problem.file)) for problem in problems}
        news = [problem for problem in problems if (problem, texts.get(problem.file)) not in known]
        if news:
            self._events.policy_broken(ConfigurationError(news))
        mended = {problem.file for problem, _ in known} - {problem.file for problem in problems}
        self._events.policies_mended(tuple(sorted(mended)))
        return list(problems)

    def _policies(self) -> list[rows.Policy]:
        return [*self.snapshot.collectors, *self.snapshot.workflows.values()]

    async def _take(self, outcome: Outcome) -> bool:
        """Have what `outcome` says of files; False if that is so already."""
        old = {key_of(each): each for each in self.snapshot.collectors}
        collectors = [self._dated(await self._sealed(each), old) for each in outcome.collectors]
        workflows = [self._dated(each, self.snapshot.workflows) for each in outcome.workflows]
        managed = list(filter(is_from_file, self._policies()))
        policies: list[rows.Policy] = [*collectors, *workflows]
        changed = [each.id for each in policies if each not in managed]
        if not changed and len(policies) == len(managed):
            return False
        await self._change(lambda connection: rows.replace_files(connection, policies))
        self._events.policy_changed("read", "policy files", tuple(changed))
        return True

    # collectors

    def get_collector(self, user_id: str, app_id: str, collector_id: str) -> Collector:
        """Raises NotFoundError."""
        return find(self.list_collectors(user_id, app_id), "collector", collector_id)

    def list_collectors(self, user_id: str, app_id: str) -> tuple[Collector, ...]:
        """An app's collectors, in the order they were made."""
        return tuple(each for each in self.snapshot.collectors if key_of(each)[:2] == (user_id, app_id))

    async def add_collectors(
        self, wires: Wires, user_id: str = DEFAULT_USER, app_id: str = DEFAULT_APP
    ) -> tuple[Collector, ...]:
        """Make collectors, all or none. Raises ConfigurationError, or ConflictError when an id is there already."""
        async with self._one_change:
            now = rfc3339(self._clock.now())
            new = read_all(
                wires,
                "collectors",
                lambda wire, where: read_collector(wire, user_id, app_id, where=where, created_at=now),
            )
            refuse_repeated(new, {key_of(each) for each in self.snapshot.collectors}, "collectors")
            return await self._put_collectors(new, "added", rows.insert)

    async def patch_collectors(
        self,
        wires: Wires,
        user_id: str = DEFAULT_USER,
        app_id: str = DEFAULT_APP,
        *,
        require: Require = accept_any,
    ) -> tuple[Collector, ...]:
        """Replace the supplied fields, all or none. Raises ConfigurationError or NotFoundError.

        `require` is shown each one as it is, with no other change under way; what it raises ends the call.
        """
        async with self._one_change:
            own = self.list_collectors(user_id, app_id)
            changed = read_all(wires, "collectors", lambda wire, where: patched_collector(own, wire, where))
            refuse_repeated(changed, set(), "collectors")
            show_old(own, changed, require)
            return await self._put_collectors(changed, "changed", rows.replace)

    async def delete_collectors(
        self,
        ids: Sequence[str] | None,
        user_id: str = DEFAULT_USER,
        app_id: str = DEFAULT_APP,
        *,
        require: Require = accept_any,
    ) -> tuple[Collector, ...]:
        """Delete these collectors, or all of an app (None), all or none; give what was deleted.

        `require` as in `patch_collectors`.
        """
        async with self._one_change:
            own = self.list_collectors(user_id, app_id)
            gone = own if ids is None else find_all(own, "collector", ids)
            refuse_managed(gone, "collector")
            show_old(own, gone, require)
            await self._change(lambda connection: rows.remove(connection, gone))
            self._events.policy_changed("deleted", "collector", tuple(each.key for each in gone))
            return gone

    async def _put_collectors(
        self, collectors: Sequence[Collector], action: str, put: Callable[..., None]
    ) -> tuple[Collector, ...]:
        problems = [
            problem
            for index, each in enumerate(collectors)
            for problem in problems_of_collector(each, self.snapshot.workflows, self._judges, f"collectors[{index}]")
        ]
        if problems:
            raise ConfigurationError(problems)
        sealed = tuple([await self._sealed(each) for each in collectors])
        await self._change(lambda connection: put(connection, sealed))
        self._events.policy_changed(action, "collector", tuple(each.key for each in sealed))
        return sealed

    # workflows

    def get_workflow(self, user_id: str, app_id: str, workflow_id: str) -> Workflow:
        """Raises NotFoundError."""
        return find(self.list_workflows(user_id, app_id), "workflow", workflow_id)

    def list_workflows(self, user_id: str, app_id: str) -> tuple[Workflow, ...]:
        """An app's workflows, in the order they were made."""
        return tuple(each for key, each in self.snapshot.workflows.items() if key[:2] == (user_id, app_id))

    async def add_workflows(
        self, wires: Wires, user_id: str = DEFAULT_USER, app_id: str = DEFAULT_APP
    ) -> tuple[Workflow, ...]:
        """Make workflows, all or none. Raises ConfigurationError, or ConflictError when an id is there already."""
        async with self._one_change:
            now = rfc3339(self._clock.now())
            new = read_all(
                wires,
                "workflows",
                lambda wire, where: read_workflow(wire, user_id, app_id, where=where, created_at=now),
            )
            refuse_repeated(new, self.snapshot.workflows.keys(), "workflows")
            return await self._put_workflows(new, "added", rows.insert)

    async def patch_workflows(
        self,
        wires: Wires,
        user_id: str = DEFAULT_USER,
        app_id: str = DEFAULT_APP,
        *,
        require: Require = accept_any,
    ) -> tuple[Workflow, ...]:
        """Replace the supplied fields, all or none, if every collector that names one can go on.

        Raises ConfigurationError or NotFoundError.
        """
        async with self._one_change:
            own = self.list_workflows(user_id, app_id)
            changed = read_all(wires, "workflows", lambda wire, where: patched_workflow(own, wire, where))
            refuse_repeated(changed, set(), "workflows")
            show_old(own, changed, require)
            return await self._put_workflows(changed, "changed", rows.replace)

    async def delete_workflows(
        self,
        ids: Sequence[str] | None,
        user_id: str = DEFAULT_USER,
        app_id: str = DEFAULT_APP,
        *,
        require: Require = accept_any,
    ) -> tuple[Workflow, ...]:
        """Delete these workflows, or all of an app (None), all or none, if no collector names one."""
        async with self._one_change:
            own = self.list_workflows(user_id, app_id)
            gone = own if ids is None else find_all(own, "workflow", ids)
            refuse_managed(gone, "workflow")
            refuse_used(gone, self.snapshot.collectors)
            show_old(own, gone, require)
            await self._change(lambda connection: rows.remove(connection, gone))
            self._events.policy_changed("deleted", "workflow", tuple(each.id for each in gone))
            return gone

    async def _put_workflows(
        self, workflows: Sequence[Workflow], action: str, put: Callable[..., None]
    ) -> tuple[Workflow, ...]:
        problems = problems_of_new(workflows, self.snapshot.workflows, self.snapshot.collectors, self._judges)
        if problems:
            raise ConfigurationError(problems)
        await self._change(lambda connection: put(connection, workflows))
        self._events.policy_changed(action, "workflow", tuple(each.id for each in workflows))
        return tuple(workflows)

    # what they share

    async def _change(self, work: Callable[..., None]) -> None:
        old, who, now = self.snapshot, who_acts(FILES), self._clock.now()

        def transact(connection: Connection) -> tuple[Snapshot, list[Change]]:
            work(connection)
            new = rows.read_snapshot(connection)
            changes = changes_between(old, new)
            write_changes(connection, who, now, changes)
            return new, changes

        self.snapshot, changes = await self._database.write(transact)
        for change in changes:
            self._events.changed(who, change.kind, change.subject)
        self.on_change()

    async def _sealed(self, collector: Collector) -> Collector:
        """`collector` with its key replaced by a reference, unless it is one."""
        given = collector.source.post_inputs_key_id
        if not given or await self._is_secret(given):
            return collector
        source = dataclasses.replace(collector.source, post_inputs_key_id=await self._store_secret(given))
        return dataclasses.replace(collector, source=source)

    def _dated(self, policy: PolicyT, old: Mapping[Key, PolicyT]) -> PolicyT:
        known = old.get(key_of(policy))
        return dataclasses.replace(policy, created_at=known.created_at if known else rfc3339(self._clock.now()))
