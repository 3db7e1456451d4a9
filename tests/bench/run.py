"""One run of the benchmark: how long, with which programs, where; the turns of the contestants and the bar over them.

In each round every contestant has one turn, and each round begins with another one: what the machine's other users do
falls on all of them alike.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import calls
import nginx
from contestants import CONTESTANTS, Room
from rich.progress import Progress, TaskID
from servers import Server, answering
from tools import NGINX

Step = Callable[[str], None]


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    """Of the scenarios whose measure is processor time."""
    paired_rounds: int
    """Of those whose measure is latency, which needs more of them."""
    seconds: float
    """Of one turn."""
    minutes: float
    """Of the scenario that fills the queue."""
    curve_rounds: int
    rates: tuple[int, ...]
    """Calls a second along the latency curve."""


FULL = Plan(7, 15, 3.0, 1.0, 3, (500, 1000, 2000, 3000, 4500, 6000, 8000, 10000))
QUICK = Plan(2, 2, 1.0, 0.1, 1, (500, 2000, 5000))


class Run:
    """What a scenario is given."""

    def __init__(self, plan: Plan, tools: Mapping[str, str], folder: Path, progress: Progress, bar: TaskID) -> None:
        self.plan = plan
        self.tools = tools
        self._folder = folder
        self._progress = progress
        self._bar = bar

    def folder(self) -> Path:
        """A new one."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    @contextlib.contextmanager
    def room(self) -> Iterator[Room]:
        """A new folder, and a model and a mirrors' sink that are running: nginx, or our own where there is none."""
        folder = self.folder()
        with self._model(folder / "model") as model, self._model(folder / "sink") as sink:
            yield Room(folder, model.address, sink.address, self.tools)

    def _model(self, folder: Path) -> contextlib.AbstractContextManager[Server]:
        if NGINX in self.tools:
            folder.mkdir()
            return nginx.model(self.tools[NGINX], folder)
        return answering(folder, calls.PREDICTIONS)

    def present(self, *names: str) -> list[str]:
        """Those of the contestants whose program is installed."""
        return [name for name in names if not CONTESTANTS[name].needs or CONTESTANTS[name].needs in self.tools]

    def turns(self, names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
        """Every round's number with every name, beginning with another one each round."""
        with self.steps(rounds * len(names)) as step:
            for number in range(rounds):
                for name in rotated(names, number):
                    step(f"round {number + 1} of {rounds}, {name}")
                    yield number, name

    @contextlib.contextmanager
    def steps(self, total: int) -> Iterator[Step]:
        """The bar of `total` steps; each says what it is about to do."""
        self._progress.reset(self._bar, total=total, visible=True)
        done = itertools.count()
        yield lambda doing: self._progress.update(self._bar, completed=next(done), description=f"  {doing}")
        self._progress.update(self._bar, completed=total)


def rotated(names: Sequence[str], by: int) -> list[str]:
    """`names`, beginning with another one for each `by`."""
    at = by % len(names)
    return [*names[at:], *names[:at]]
