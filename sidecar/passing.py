"""The models whose calls pass, by name: what a relay tells the engine of calls that nobody collects.

Owns which names are kept and how they cross from the relay to the engine. A name comes out of a request's path, so
anybody may have made it up: kept are so many and no more, none that is long and none that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

from sidecar.frame import FrameError

MOST_MODELS = 256
"""Of one relay since its start; what comes beyond them is not kept."""
LONGEST_NAME = 128
"""Characters of a model or of a version."""


class ModelName(NamedTuple):
    """A model as a call's path names it; `version` is blank when the path names none."""

    model: str
    version: str = ""


class PassingModels:
    """Those that have passed, each once, in the order in which they came."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[ModelName, None] = {}

    def __iter__(self) -> Iterator[ModelName]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: ModelName) -> bool:
        """Keep `name`; False if it is here already, or not to be kept."""
        if name in self._names or len(self._names) >= MOST_MODELS or not all(map(_is_fit, name)):
            return False
        self._names[name] = None
        return True


def _is_fit(name: str) -> bool:
    return len(name) <= LONGEST_NAME and name.isprintable()


def encode_models(names: Iterable[ModelName]) -> str:
    """A line for each: model and version, percent-encoded, with a tab between."""
    return "\n".join(f"{quote(name.model, '')}\t{quote(name.version, '')}" for name in names)


def decode_models(text: str) -> list[ModelName]:
    """The names in `text`. Raises FrameError on a line that is none."""
    return [_decode_model(line) for line in text.splitlines()]


def _decode_model(line: str) -> ModelName:
    model, tab, version = line.partition("\t")
    if not tab or not model:
        raise FrameError("a line of passing models is not a model and a version")
    return ModelName(unquote(model), unquote(version))
