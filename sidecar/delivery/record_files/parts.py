"""What was delivered and is no record file yet: parts, and how they become files.

A delivery is one part, put whole before it counts as delivered; parts are never changed and their names never used
again. When they are due, the parts of a set are read, written in the destination's format, and deleted:

    .parts/{collector}/{format}/{writer}/{set}/{number}.jsonl     →     …/{set}-{first number}-{last number}-{mark}…

Promises that no order of kills, repeats and other writers loses a part or tears a file: a file's name says which parts
are in it, so the same name has the same content, and a part is deleted only when a file with it stands. What can happen
is that an input stands in two files, under one id.

A set is written by whoever began it; what a dead one left is finished by the next process with its name (`writer`), or
by anyone once it is old.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from sidecar.delivery.outcome import Retry
from sidecar.delivery.record_files.stores import Found, Store, StoreError
from sidecar.kit.ids import digest
from sidecar.records.entries import read_entries
from sidecar.records.formats import FORMATS
from sidecar.records.record_file import RecordFile

PARTS = ".parts"
READ_AT_ONCE = 8
ABANDONED_SECONDS = 600.0
"""How long after it was due a set counts as left behind by whoever began it."""
_STAMP, _RANDOM = r"\d{8}T\d{6}Z", "-[0-9a-f]{16}"
_SET = _STAMP + _RANDOM
_PART = re.compile(rf"(?P<folder>.*/(?P<writer>[0-9a-f]{{8}})/(?P<begun>{_STAMP}){_RANDOM}/)(?P<number>\d{{6}})\.jsonl")
_NAME = re.compile(rf"(?P<what>{_SET}-\d+-\d+)-(?P<mark>[0-9a-f]{{8}})(?:-\d+)?\.\w+$")


class OpenSet:
    """The set that parts are added to."""

    def __init__(self, folder: str, begun_at: float) -> None:
        self.folder = folder
        self.begun_at = begun_at
        self.size_bytes = 0
        self.has_parts = False
        self._number = 0

    def next_path(self) -> str:
        """The next part's. One that failed is not used again: it may still arrive."""
        self._number += 1
        return f"{self.folder}{self._number:06d}.jsonl"

    @property
    def is_full(self) -> bool:
        return self._number >= 999_999


class Parts:
    """The parts of one collector in one format."""

    def __init__(
        self, store: Store, collector: str, format_name: str, writer: str, roll_after: float, since: float
    ) -> None:
        """`since`: what this writer began later, in seconds since the epoch, is not of an earlier life."""
        self._store = store
        self._since = _stamp(since)
        self._collector = collector
        self._format = format_name
        self._writer = digest(writer).hex()[:8]
        self._abandoned_seconds = roll_after + ABANDONED_SECONDS
        self._root = f"{PARTS}/{collector.replace('/', '.')}/{format_name}/"

    def begin(self, now: float) -> OpenSet:
        """A new set; `now` is in seconds since the epoch."""
        return OpenSet(f"{self._root}{self._writer}/{_stamp(now)}-{secrets.token_hex(8)}/", now)

    async def add(self, to: OpenSet, lines: bytes) -> None:
        """Put `lines` down to stay. Raises StoreError."""
        await self._store.put(to.next_path(), lines)
        to.size_bytes += len(lines)
        to.has_parts = True

    async def left_behind(self, now: float) -> list[str]:
        """The folders of sets that nobody will finish: our own of an earlier life, and old ones. Raises StoreError."""
        sets: dict[str, list[Found]] = {}
        own = set()
        for found in await self._store.listed(self._root):
            part = _PART.fullmatch(found.path)
            if part is not None:
                sets.setdefault(part["folder"], []).append(found)
                if part["writer"] == self._writer and part["begun"] <= self._since:
                    own.add(part["folder"])
        old = now - self._abandoned_seconds
        return [folder for folder, found in sets.items() if folder in own or max(f.modified_at for f in found) < old]

    async def finish(self, folder: str) -> None:
        """Make the files of a set and take its parts away; nothing for one that is finished. Raises StoreError."""
        paths = sorted(found.path for found in await self._store.listed(folder) if _PART.fullmatch(found.path))
        if not paths:
            return
        contents: list[bytes] = []
        for at in range(0, len(paths), READ_AT_ONCE):
            read = await asyncio.gather(*map(self._store.get, paths[at : at + READ_AT_ONCE]))
            contents += [content for content in read if content is not None]
        if len(contents) < len(paths):
            raise StoreError(Retry("finished_elsewhere", "another process is making files of the same parts"))
        for file in await asyncio.to_thread(self._written, contents, self._name(paths)):
            await self._store.put(file.path, file.content)
        await self._store.delete(paths)

    def _written(self, contents: Sequence[bytes], name: str) -> list[RecordFile]:
        return list(FORMATS[self._format](read_entries(b"".join(contents)), name))

    def _name(self, paths: Sequence[str]) -> str:
        numbers = [int(path[-12:-6]) for path in paths]
        what = f"{paths[0].rsplit('/', 2)[1]}-{numbers[0]}-{numbers[-1]}"
        return f"{what}-{self._mark(what)}"

    def is_own(self, path: str) -> bool:
        """True for a file that this collector wrote in this format: its name is marked so."""
        found = _NAME.search(path)
        return found is not None and found["mark"] == self._mark(found["what"])

    def _mark(self, what: str) -> str:
        return digest("record file", self._collector, self._format, what).hex()[:8]


def _stamp(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"
