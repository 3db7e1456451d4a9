"""Memories whose entries are found by how near they are: each entry's content is a row of numbers in a matrix.

Rows of one length stand in one matrix, so that a look is one pass over it: its cost and its memory grow with the number
of entries, which the operator bounds. A row of another length, say since a model gives longer embeddings, is near none.
Needs numpy, which the operators that use it import when one of their nodes is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from sidecar.errors import ConfigurationError, Problem
from sidecar.memory import Entry, Memory, Place

if TYPE_CHECKING:  # of those who install the extra most have no graph that needs its 30 MB
    import numpy as np

_FIRST_ROWS = 64


class Block:
    """Rows of one length, without holes: the last one moves to where one was removed."""

    def __init__(self, length: int, dtype: str) -> None:
        import numpy as np

        self._matrix = np.zeros((_FIRST_ROWS, length), dtype)
        self._names: list[str] = []
        self._at: dict[str, int] = {}

    def add(self, name: str, row: np.ndarray[Any, Any]) -> None:
        import numpy as np

        if len(self._names) == len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
        self._matrix[len(self._names)] = row
        self._at[name] = len(self._names)
        self._names.append(name)

    def remove(self, name: str) -> None:
        hole, last = self._at.pop(name), self._names.pop()
        if last != name:
            self._matrix[hole] = self._matrix[len(self._names)]
            self._names[hole] = last
            self._at[last] = hole

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        return self._matrix[: len(self._names)]

    def names(self, are_meant: np.ndarray[Any, Any]) -> list[str]:
        """The names of the rows where `are_meant` is true."""
        return [self._names[index] for index in are_meant.nonzero()[0]]


class Vectors(Memory):
    dtype: ClassVar[str]
    """How content is read, as numpy names it: little-endian, whatever the machine."""

    def __init__(self, place: Place, entries: Iterable[Entry] = ()) -> None:
        self._blocks: dict[int, Block] = {}
        super().__init__(place, entries)

    def near(self, content: bytes, are_near: Callable[[Any, Any], Any]) -> list[str]:
        """The names of the entries that are near: `are_near` is given all rows and the one, and gives a mask."""
        block = self._blocks.get(len(content))
        return [] if block is None else block.names(are_near(block.rows, self._row(content)))

    def _row(self, content: bytes) -> np.ndarray[Any, Any]:
        import numpy as np

        return np.frombuffer(content, self.dtype)

    def _added(self, entry: Entry) -> None:
        length = len(entry.content)
        if length not in self._blocks:
            self._blocks[length] = Block(len(self._row(entry.content)), self.dtype)
        self._blocks[length].add(entry.name, self._row(entry.content))

    def _removed(self, entry: Entry) -> None:
        self._blocks[len(entry.content)].remove(entry.name)


class Hashes(Vectors):
    """64 bits each."""

    dtype = "<u8"


class Signatures(Vectors):
    """MinHash values."""

    dtype = "<u4"


class Embeddings(Vectors):
    dtype = "<f4"


def missing(operator: str, extra: str) -> ConfigurationError:
    """What to say where an import fails."""
    message = f"{operator} needs the extra `{extra}`: pip install 'collector-sidecar[{extra}]'"
    return ConfigurationError(Problem(message, "model.model_type_id"))
