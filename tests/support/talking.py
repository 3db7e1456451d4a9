"""Two ends that say their lines over a relay: each says a line once it has heard so many bytes of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from support.relay_end import RelayEnd

TALK_SECONDS = 20.0


class Line(NamedTuple):
    """`pieces`, each written by itself, once `after` bytes were heard."""

    after: int
    pieces: Sequence[bytes]


@dataclass
class Script:
    """One conversation. The client may end it first, with its last line, and still hear; or the model, at the end."""

    client: list[Line] = field(default_factory=list)
    model: list[Line] = field(default_factory=list)
    client_ends_first: bool = False

    @property
    def requests(self) -> bytes:
        return _joined(self.client)

    @property
    def responses(self) -> bytes:
        return _joined(self.model)


def _joined(lines: Sequence[Line]) -> bytes:
    return b"".join(piece for line in lines for piece in line.pieces)


class Stage:
    """The model's side; `script` is what the next connection hears."""

    def __init__(self) -> None:
        self.script = Script()
        self.heard: asyncio.Future[bytes] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script, heard = self.script, self.heard
        if heard is None:
            raise RuntimeError("nobody plays")
        try:
            by_model = await _say(reader, writer, script.model)
            if not script.client_ends_first:
                by_model += await reader.readexactly(len(script.requests) - len(by_model))
                writer.write_eof()
            heard.set_result(by_model + await reader.read(-1))
        except (OSError, EOFError) as error:
            heard.set_exception(error)

    async def play(self, end: RelayEnd, script: Script) -> tuple[bytes, bytes]:
        """What the model heard, and what the client heard, when both sides have ended."""
        self.script = script
        self.heard = asyncio.get_running_loop().create_future()
        reader, writer = await end.connect()
        try:
            async with asyncio.timeout(TALK_SECONDS):
                by_client = await _say(reader, writer, script.client)
                if script.client_ends_first:
                    writer.write_eof()
                by_client += await reader.read(-1)
                writer.close()
                return await self.heard, by_client
        finally:
            writer.close()


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lines: Sequence[Line]) -> bytes:
    """Say all lines; gives what was heard meanwhile."""
    heard = b""
    for line in lines:
        heard += await reader.readexactly(max(0, line.after - len(heard)))
        for piece in line.pieces:
            writer.write(piece)
            await asyncio.sleep(0)
    return heard
