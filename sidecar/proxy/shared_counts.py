"""The counts of a further relay, in memory that the first one reads too: a relay that is killed takes none with it.

What the exchanges' sum is made of is written there as it is counted; the rest, which no sum needs, when `publish` is
called. The reader trusts no moment between two writes: what is seen and in no other term is open, so its sum holds
while the other process runs and after it was killed in the middle of a step.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping

from sidecar.proxy.counts import Counts

RELAY_DIED = "lost.relay_died"
"""Exchanges that were open in a relay that died. What had reached the engine is judged all the same: this may count
too much, never too little."""
_UNNAMED = "lost.unnamed"
_NAMES = (*Counts().as_dict(), _UNNAMED)
_AT = {name: index for index, name in enumerate(_NAMES)}
_SEEN, _UNWANTED, _TAKEN = _AT["seen"], _AT["unwanted"], _AT["taken"]
_NOW = ("open", "connections_open")
_PULSE = len(_NAMES)
_SIZE_BYTES = 8 * (len(_NAMES) + 1)


def new_page() -> int:
    """The descriptor of memory for one relay's counts, all 0. Raises OSError."""
    if sys.platform == "linux":
        page = os.memfd_create("counts", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            page = os.dup(file.fileno())
    os.ftruncate(page, _SIZE_BYTES)
    return page


@contextlib.contextmanager
def opened(page: int) -> Iterator[memoryview]:
    """The cells of `page`, one number a name."""
    with mmap.mmap(page, _SIZE_BYTES) as mapped, memoryview(mapped) as whole, whole.cast("q") as cells:
        yield cells


class SharedCounts(Counts):
    """Counts like any relay's, written to `cells`."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        super().__init__()

    @property
    def seen(self) -> int:
        return self._cells[_SEEN]

    @seen.setter
    def seen(self, count: int) -> None:
        self._cells[_SEEN] = count

    @property
    def unwanted(self) -> int:
        return self._cells[_UNWANTED]

    @unwanted.setter
    def unwanted(self, count: int) -> None:
        self._cells[_UNWANTED] = count

    @property
    def taken(self) -> int:
        return self._cells[_TAKEN]

    @taken.setter
    def taken(self, count: int) -> None:
        self._cells[_TAKEN] = count

    def lose(self, reason: str, count: int = 1) -> None:
        super().lose(reason, count)
        self._cells[_AT.get(f"lost.{reason}", _AT[_UNNAMED])] += count

    def publish(self) -> None:
        """Write what is not written as it is counted: bytes, connections, what passed uncaptured."""
        for name, count in self.as_dict().items():
            if name in _AT and not name.startswith("lost."):
                self._cells[_AT[name]] = count
        self._cells[_PULSE] += 1


def read(cells: memoryview) -> dict[str, int]:
    """What the relay that writes `cells` has counted. `seen = unwanted + taken + lost + open`, whatever it is doing."""
    values = {name: cells[_AT[name]] for name in reversed(_NAMES)}  # `seen`, the first to be written, is read last
    resolved = values["unwanted"] + values["taken"] + sum(_lost(values))
    values["seen"] = max(values["seen"], resolved)  # some processors show two writes in another order
    values["open"] = values["seen"] - resolved
    return values


def take(cells: memoryview) -> dict[str, int]:
    """What the relay that wrote `cells` and is gone had counted; what was open is lost. Afterwards they are 0."""
    values = read(cells)
    values[RELAY_DIED] = values["open"]
    for cell in range(len(cells)):
        cells[cell] = 0
    return {**values, **dict.fromkeys(_NOW, 0)}


def pulse(cells: memoryview) -> int:
    """How often the relay that writes `cells` has published: one that lives goes on doing so. 0 before the first."""
    return cells[_PULSE]


def add(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Add `more` to `total`, name by name."""
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def _lost(values: Mapping[str, int]) -> Iterator[int]:
    return (count for name, count in values.items() if name.startswith("lost."))
