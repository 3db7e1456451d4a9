"""A node that remembers, in a life that can end: on a real queue, with its operator's memory in the test's hand."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from sidecar.data import Data
from sidecar.events import Events
from sidecar.memory import Change, Memories
from sidecar.queue.jobs import JobQueue
from sidecar.store.database import Database, sqlite_url
from sidecar.workflow.graph import Graph
from sidecar.workflow.operators.operator import Ground
from sidecar.workflow.operators.registry import OPERATORS, Operators
from sidecar.workflow.run import Item, Kept, Verdict, run_without_models
from support.clock import FakeClock
from support.operators import graph_of

T = TypeVar("T")


def with_memories(memories: Memories) -> Operators:
    return Operators(OPERATORS, {}, Ground(memories=memories))


class Node:
    """One node of type `type_id`, remembering for any collector."""

    def __init__(self, type_id: str, params: Mapping[str, Any], *inputs: str, memories: Memories | None = None) -> None:
        self._exchanges = itertools.count()
        self.memories = memories or Memories()
        self.graph: Graph = graph_of(type_id, params, None, *inputs, operators=with_memories(self.memories))

    def judge(self, output: Data, given: Data | None = None, at: float = 0.0, collector: str = "c") -> Verdict:
        return self.item(output, given, at, collector)[1]

    def passes(self, output: Data, given: Data | None = None, at: float = 0.0, collector: str = "c") -> bool:
        return isinstance(self.judge(output, given, at, collector), Kept)

    def item(
        self, output: Data, given: Data | None = None, at: float = 0.0, collector: str = "c"
    ) -> tuple[Item, Verdict]:
        exchange_id = next(self._exchanges).to_bytes(16, "big")
        item = Item(exchange_id, 0, collector, given or Data(metadata={"caller": "alice"}), output, at)
        return item, run_without_models(self.graph, item, "$output")


class Life:
    """A node whose memory is on disk; `die` is a kill: what was not written is gone."""

    def __init__(self, type_id: str, params: Mapping[str, Any]) -> None:
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self._database = Database(sqlite_url(Path(self._folder.name)))
        self._run(self._database.open())
        events = Events(structlog.wrap_logger(structlog.testing.CapturingLogger()))
        self._queue = JobQueue(self._database, FakeClock(), events, "this-start")
        self._unwritten: list[Change] = []
        self.node = Node(type_id, params)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._database.close())
        self._runner.close()
        self._folder.cleanup()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def passes(self, output: Data, given: Data | None = None, at: float = 0.0, *, drops: bool = False) -> bool:
        """True if it comes through; with `drops` the input is dropped after that."""
        item, verdict = self.node.item(output, given, at)
        if drops:
            item.give_back()
        self._unwritten += item.changes
        return isinstance(verdict, Kept)

    def write(self) -> None:
        assert self._run(self._queue.record([], {}, self._unwritten))
        self._unwritten.clear()

    def die(self) -> None:
        self._unwritten.clear()
        self.node.memories.load(self._run(self._queue.remembered(["c"])))
