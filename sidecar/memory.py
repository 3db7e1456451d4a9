"""What the operators of workflows remember: small entries by name, one memory for each collector and node.

Owns the entries as they are in memory and the changes to them; where they are written is the queue's. A change belongs
to the input that brought it about: it is written with that input's verdict, in one transaction, and given back when the
input is dropped, so that what was not counted has spent nothing. Names are hashes and never content. A memory is
bounded: the entry that was put longest ago is forgotten first, and what it stood for starts anew. No I/O, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sidecar.kit.ids import digest

M = TypeVar("M", bound="Memory")


class Place(NamedTuple):
    """Whose memory it is: never two collectors' or two nodes'."""

    collector: str
    """Its key in the ledger."""
    workflow: str
    node: str
    operator: str
    """What the node does: another operator under the same id begins anew."""


class Entry(NamedTuple):
    """One thing remembered."""

    name: str
    at: float = 0.0
    """Seconds since the epoch; what of, the operator says. Entries are in this order when they are read again."""
    times: int = 1
    """How often it was put."""
    content: bytes = b""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Change:
    """One entry put or forgotten. What is put adds its `times`, and raises `at`.

    One that `holds` is about the job of the input that its entry is named after: put, the job waits until the entry's
    `at`; forgotten, the job is taken out of the queue, displaced by another.
    """

    memory: Memory
    entry: Entry
    is_forgotten: bool = False
    back_seconds: float = 0.0
    """By how much `at` goes back when the change is given back."""
    holds: bool = False
    by: str = ""
    """The entry of the input that displaces it."""
    victim: Change | None = None
    """Of a displacement, the change that put what it displaces, if that may still be unwritten."""
    is_displaced: bool = False
    is_sent: bool = False
    """True once it was handed to the queue: from then on the queue holds what it is about."""

    def give_back(self) -> None:
        """Undo it in memory; what others changed since stays."""
        if not self.is_forgotten:
            self.memory.take_back(self.entry, self.back_seconds)
            return
        self.memory.restore(self.entry)
        if self.victim is not None:
            self.victim.is_displaced = False


def name_of_input(exchange_id: str, input_index: int) -> str:
    """The name of an entry about the job of this input; the exchange's id is 32 hexadecimal digits, and random."""
    return f"{exchange_id}:{input_index}"


def input_of_name(name: str) -> tuple[str, int]:
    """The exchange's id and the input's index in it."""
    exchange_id, _, index = name.partition(":")
    return exchange_id, int(index)


def give_back(changes: Sequence[Change]) -> None:
    """Undo `changes`, the last first."""
    for change in reversed(changes):
        change.give_back()


class Memory:
    """The entries of one place, the one that was put last at the end."""

    def __init__(self, place: Place, entries: Iterable[Entry] = ()) -> None:
        self.place = place
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        for entry in sorted(entries, key=lambda each: (each.at, each.name)):
            self.restore(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def put(self, entry: Entry, most: int, back_seconds: float = 0.0) -> list[Change]:
        """Add to the entry of that name, or put it; forget the oldest beyond `most`. Gives what has changed."""
        changes = [Change(self, entry, back_seconds=back_seconds)]
        known = self._entries.pop(entry.name, None)
        if known is not None:
            self._removed(known)
            entry = entry._replace(at=max(entry.at, known.at), times=entry.times + known.times)
        self.restore(entry)
        while len(self._entries) > max(most, 1):
            changes.append(self.forget(next(iter(self._entries))))
        return changes

    def forget(self, name: str) -> Change:
        """Raises KeyError if there is no such entry."""
        entry = self._entries.pop(name)
        self._removed(entry)
        return Change(self, entry, is_forgotten=True)

    def restore(self, entry: Entry) -> None:
        """Have `entry` as it is, unless its name is known."""
        if entry.name not in self._entries:
            self._entries[entry.name] = entry
            self._added(entry)

    def take_back(self, entry: Entry, back_seconds: float) -> None:
        """Take what `entry` put from the entry of its name; one that was never put then is gone."""
        known = self._entries.get(entry.name)
        if known is None:
            return
        left = known._replace(at=known.at - back_seconds, times=known.times - entry.times)
        if left.times > 0:
            self._entries[entry.name] = left
        else:
            del self._entries[entry.name]
            self._removed(known)

    def _added(self, entry: Entry) -> None:
        """For memories that find entries by more than their names."""

    def _removed(self, entry: Entry) -> None:
        """As above."""


class Memories:
    """Every memory of one process, or of one back-test. `secret` keeps names from telling what they stand for."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self._open: dict[Place, Memory] = {}
        self._stored: dict[Place, list[Entry]] = {}

    def load(self, stored: Mapping[Place, Sequence[Entry]]) -> None:
        """Begin with what was written in an earlier life."""
        self._open.clear()
        self._stored = {place: list(entries) for place, entries in stored.items()}

    def of(self, place: Place, kind: type[M]) -> M:
        """The memory of `place`; always asked for as the same kind."""
        found = self._open.get(place)
        if found is None:
            found = self._open[place] = kind(place, self._stored.pop(place, ()))
        if not isinstance(found, kind):
            raise TypeError(f"the memory of {place} is a {type(found).__name__}, not a {kind.__name__}")
        return found

    def opened(self) -> tuple[Memory, ...]:
        """Those that were asked for."""
        return tuple(self._open.values())

    def keep_only(self, collectors: Collection[str]) -> None:
        """Forget what nodes of any other collector remember: it is gone, and one of the same name begins anew."""
        self._open = {place: memory for place, memory in self._open.items() if place.collector in collectors}
        self._stored = {place: entries for place, entries in self._stored.items() if place.collector in collectors}

    def name_of(self, *parts: bytes | str | int) -> str:
        """32 hexadecimal digits that stand for `parts`."""
        return digest(self._secret, *parts).hex()
