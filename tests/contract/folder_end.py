"""Record files in a folder of this machine."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import orjson

from contract.end import Case, End
from sidecar.kit.ids import digest


class FolderEnd(End):
    kind = "files"
    can_tell_repeats = False
    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.1}
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.REFUSING_ONE: "a disk takes any line or none: it does not read them",
        Case.THROTTLING: "a disk does not count how often it is written to",
        Case.TOO_SMALL: "a file may be as large as the disk",
        Case.GOING_AWAY: "a folder of the machine goes away together with the sidecar",
    }

    async def start(self) -> None:
        """The destination makes the folder."""
        self._url = self.folder / "records"

    async def stop(self) -> None:
        """It goes with the test's folder."""

    def options(self) -> Mapping[str, Any]:
        return {"url": str(self._url)}

    async def stored(self) -> list[str]:
        return ids_below(self.folder / "records")

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        """No file may be larger than a few bytes: to who writes one it is a full disk."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        self._url.write_text("a file where a folder should be")
        yield
        self._url.unlink()

    @asynccontextmanager
    async def locked_out(self) -> AsyncIterator[None]:
        """Where not even root may make a folder."""
        self._url = Path("/sys/records")
        yield

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        """What an earlier life seems to have left cannot be read to its end, nor from its beginning."""
        writer = digest(f"{socket.gethostname()} {self.database.name}").hex()[:8]
        folder = self._url / ".parts" / "watch" / "exchange" / writer / f"20200101T000000Z-{'0' * 16}"
        folder.mkdir(parents=True)
        pipe = folder / "000001.jsonl"
        os.mkfifo(pipe)
        yield
        os.close(os.open(pipe, os.O_RDWR))  # lets whoever waits for it go on, and does not wait itself
        pipe.unlink()


def ids_below(folder: Path) -> list[str]:
    """The ids in every file and every part."""
    lines = [line for path in folder.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    return [orjson.loads(line)["input_id"] for line in lines]
