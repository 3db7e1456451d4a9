"""A predict call, read: what the decoders give and what a protocol has to offer. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, overload

from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.exchange import Head

MAX_INPUTS = 10_000
"""A body that claims more items than this is kept as one raw input: small JSON must not become much memory."""


class UndecodedError(PermanentError):
    """A body that its protocol cannot read; the message says where and why, never the body itself."""


Metadata = Callable[[], Mapping[str, Any]]
"""Gives what every input of a call carries: made when the first of them is."""


class Items(Sequence[Data]):
    """The items of a message, each made into data when it is first looked at: most inputs never are.

    Whoever makes one has found that every part can be read.
    """

    __slots__ = ("_made", "_parts", "_read")

    def __init__(self, parts: Sequence[Any], read: Callable[[Any], Data]) -> None:
        self._parts = parts
        self._read = read
        self._made: dict[int, Data] = {}

    def __len__(self) -> int:
        return len(self._parts)

    @overload
    def __getitem__(self, index: int) -> Data: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Data, ...]: ...
    def __getitem__(self, index: int | slice) -> Data | tuple[Data, ...]:
        if isinstance(index, slice):
            return tuple([self[at] for at in range(len(self._parts))[index]])
        made = self._made.get(index)
        if made is None:
            made = self._made[index] = self._read(self._parts[index])
        return made


class Side(NamedTuple):
    """One side of a call: its head, read, and its content as it was on the wire."""

    head: Head
    body: bytes
    is_whole: bool = True
    """False when either side left before its end."""
    is_plain: bool = False
    """True if it is known that the head names no coding of the body; see `content.is_plain`."""


class Call(NamedTuple):
    """One predict call: its source, its inputs, and their outputs paired by index."""

    protocol: str
    model: str
    version: str
    """The path's version; when that names none, the answer's; blank when neither tells."""
    user: str
    app: str
    inputs: Sequence[Data]
    outputs: Sequence[Data | None]
    """As many as inputs; None where the model gave none that can be read."""
    error: str = ""
    """Why the request is undecoded and its body kept as one raw input."""
    output_error: str = ""
    """Why every output is None: refused, missing, cut short, unreadable, or not as many as the inputs."""


class PredictProtocol(NamedTuple):
    """How one protocol reads and writes its JSON. The readers raise UndecodedError."""

    read_inputs: Callable[[Any, Metadata], Sequence[Data]]
    """(request, metadata that every input shall carry) → inputs."""
    read_outputs: Callable[[Any, int], Sequence[Data | None]]
    """(answer, number of inputs) → outputs; the caller checks that they pair."""
    read_version: Callable[[Any], str]
    """The model version that an answer names, or ""."""
    write_request: Callable[[Sequence[Data]], Any]
    """Inputs → the request. Raises PermanentError for an input that the protocol cannot carry."""


def no_version(answer: object) -> str:
    """`read_version` of a protocol whose answers name none."""
    return ""


def list_at(document: object, name: str) -> list[Any]:
    """The list under `name` of a JSON object. Raises UndecodedError when there is none, or one too long."""
    items = document.get(name) if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise UndecodedError(f"{name}: must be a list")
    if len(items) > MAX_INPUTS:
        raise UndecodedError(f"{name}: {len(items)} items, more than {MAX_INPUTS}")
    return items
