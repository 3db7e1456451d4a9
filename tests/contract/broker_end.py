"""What brokers have in common: they take messages up to a size; and those of them that are reached over a line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from support.line import Line

from contract.end import End
from sidecar.data import Data, Text

LARGEST_BYTES = 5000


class BrokerEnd(End):
    """Takes no message larger than `LARGEST_BYTES`."""

    @asynccontextmanager
    async def too_small(self) -> AsyncIterator[Data]:
        yield Data(text=Text("x" * LARGEST_BYTES))


class LinedEnd(BrokerEnd):
    """A real server that checks a password, behind a line that can be muted."""

    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.3}
    line: Line

    @asynccontextmanager
    async def locked_out(self) -> AsyncIterator[None]:
        self.secret = "another-password"
        yield

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        self.line.mute()
        yield
        self.line.unmute()
