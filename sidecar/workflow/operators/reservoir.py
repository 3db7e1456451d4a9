"""`reservoir` (*ours*): keeps `n` inputs of each window, every input of it with the same chance.

Which ones is known at the window's end only. Until then each input draws a number, a hash of exchange, input index,
collector and node; while it is among the `n` smallest of its window its job waits in the queue, and when it no longer
is, its job is taken out and counted filtered. So at most `n` wait, none is delivered before the window's end, and
matched = filtered + … + pending holds at every moment. Jobs are due `GRACE_SECONDS` after the end, so that calls which
began in the window can end; one that ends still later takes the place only of a job that has not left the queue.

Windows (`minute`, `hour`, `day`) stand by the clock in UTC; an input is in the one in which its exchange started. Two
windows are open at a time: an input of an older one is filtered. What a later node filters holds no place. Nodes after
this one run at once, not at the window's end. Only before the queue, once in a workflow. Survives a restart.

Source: A. Efraimidis and P. Spirakis, Weighted random sampling with a reservoir (2006), with equal weights.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.kit.ids import fraction
from sidecar.memory import Change, Entry, Memory, Place, name_of_input
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Params
from sidecar.workflow.operators.remembering import SECONDS, Remembering, Window, window_start

GRACE_SECONDS = 10.0
OPEN_WINDOWS = 2
_DRAW = struct.Struct(">d")
Drawn = tuple[float, str]
"""What an input drew, and the name of its entry."""


class ReservoirParams(Params):
    n: int = Field(ge=1, le=10_000)
    window: Window


class Reservoirs(Memory):
    """The inputs that are held, ranked in each window by what they drew."""

    def __init__(self, place: Place, entries: Iterable[Entry] = ()) -> None:
        self._ranked: dict[float, list[Drawn]] = {}
        self._put: WeakValueDictionary[str, Change] = WeakValueDictionary()
        super().__init__(place, entries)

    def ranked(self, due: float) -> Sequence[Drawn]:
        """The inputs of the window whose jobs are due then, the best first."""
        return self._ranked.get(due, ())

    def is_over(self, due: float) -> bool:
        """True if too many newer windows have begun."""
        return due not in self._ranked and len(self._ranked) >= OPEN_WINDOWS and due < min(self._ranked)

    def hold(self, entry: Entry, most: int) -> list[Change]:
        """Have `entry` in its window, which holds `most`; gives what has changed."""
        self.restore(entry)
        change = self._put[entry.name] = Change(self, entry, holds=True)
        over = [name for _, name in self._ranked[entry.at][most:]]
        return [change, *(self._displace(name, entry.name) for name in over), *self._close_oldest()]

    def _displace(self, name: str, by: str) -> Change:
        change = self.forget(name)
        victim = self._put.get(name)
        if victim is not None:
            victim.is_displaced = True
        return Change(self, change.entry, is_forgotten=True, holds=True, by=by, victim=victim)

    def _close_oldest(self) -> list[Change]:
        """Their jobs go their way."""
        if len(self._ranked) <= OPEN_WINDOWS:
            return []
        return [self.forget(name) for _, name in tuple(self._ranked[min(self._ranked)])]

    def _added(self, entry: Entry) -> None:
        bisect.insort(self._ranked.setdefault(entry.at, []), _drawn(entry))

    def _removed(self, entry: Entry) -> None:
        ranked = self._ranked[entry.at]
        del ranked[bisect.bisect_left(ranked, _drawn(entry))]
        if not ranked:
            del self._ranked[entry.at]


class Reservoir(Remembering):
    params_model = ReservoirParams
    holds = True

    def __init__(self, node: Node, params: ReservoirParams) -> None:
        self.node = node.id
        self._n = params.n
        self._window = params.window

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        due = window_start(item.started_at, self._window) + SECONDS[self._window] + GRACE_SECONDS
        name = name_of_input(item.exchange_id.hex(), item.input_index)
        draw = fraction(item.exchange_id, item.input_index, item.collector, self.node)
        memory = self.memory_of(item, Reservoirs)
        ranked = memory.ranked(due)
        if memory.is_over(due) or (len(ranked) >= self._n and (draw, name) >= ranked[self._n - 1]):
            return EMPTY
        item.remember(memory.hold(Entry(name, due, content=_DRAW.pack(draw)), self._n))
        return inputs[0]


def _drawn(entry: Entry) -> Drawn:
    (draw,) = _DRAW.unpack(entry.content)
    return draw, entry.name
