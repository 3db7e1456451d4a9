"""The far side of a destination: a real one, that can be asked for trouble.

Owns the list of cases and the words for them. A case that a kind cannot have is declared in `cannot` with the reason;
every other one has a method of the same name, which makes the trouble for as long as its block lasts and ends it
before the block is left.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

from sidecar.data import Data
from sidecar.store.database import Database

Trouble = AbstractAsyncContextManager[None]
REFERENCE = "key-" + "0" * 24
"""The reference under which `End.secret` is stored."""


class Case(enum.StrEnum):
    """What may be wrong with a far side; each is also the name of an end's method."""

    REFUSING_ONE = "refusing_one"
    THROTTLING = "throttling"
    FAILING = "failing"
    REFUSING = "refusing"
    LOCKED_OUT = "locked_out"
    HANGING = "hanging"
    TOO_SMALL = "too_small"
    GOING_AWAY = "going_away"


class End(abc.ABC):
    """One far side, for one test. A server that a stranger's machine may lack is skipped over in `start`."""

    kind: ClassVar[str]
    """The destination's name in a policy."""
    cannot: ClassVar[Mapping[Case, str]] = {}
    """The cases that this kind cannot have, each with the reason."""
    can_tell_repeats: ClassVar[bool] = True
    """True if what is delivered twice is stored once; else it is stored at least once."""
    impatience: ClassVar[Mapping[str, Any]] = {}
    """What its options need so that a destination waits for a fraction of a second only."""
    secret: str = ""
    """What must never be seen in an outcome."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        """Empty, and this test's own."""
        self.database = database
        """The sidecar's own; not yet open."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Have the far side run and accept everything."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Take away everything that `start` and the test left."""

    @abc.abstractmethod
    def options(self) -> Mapping[str, Any]:
        """The destination's options, as somebody writes them in a policy."""

    @abc.abstractmethod
    async def stored(self) -> list[str]:
        """The input ids that the far side has got, as often as it has got each."""

    def refusing_one(self, input_id: str) -> Trouble:
        """Refuses this input for good, and takes the others."""
        raise NotImplementedError

    def throttling(self) -> Trouble:
        """Says that it is asked too often."""
        raise NotImplementedError

    def failing(self) -> Trouble:
        """Fails in a way that may pass."""
        raise NotImplementedError

    def refusing(self) -> Trouble:
        """Refuses whatever comes, for a reason that will not pass by itself."""
        raise NotImplementedError

    def locked_out(self) -> Trouble:
        """Does not accept the credentials of a destination that is opened now."""
        raise NotImplementedError

    def hanging(self) -> Trouble:
        """Takes what comes and does not answer."""
        raise NotImplementedError

    def too_small(self) -> AbstractAsyncContextManager[Data]:
        """Gives data that is larger than what the far side takes."""
        raise NotImplementedError

    def going_away(self) -> Trouble:
        """Goes away in the middle of the next delivery; is back where the block ends."""
        raise NotImplementedError
