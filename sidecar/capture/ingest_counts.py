"""What has become of the exchanges that came as rows, since the relay's start.

Owns a small file of numbers that is written in place, so that they outlive an engine that is killed: the next one of
the same relay finds them, and what was open is lost. Promises that at every moment
`seen = unwanted + taken + sum(lost) + open`.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from sidecar.kit.ids import digest

_NAMES = (
    "seen",
    "taken",
    "unwanted",
    "lost.queue_full",
    "lost.too_large",
    "lost.unreadable",
    "lost.capture_failed",
    "lost.engine_away",
)
_NUMBER = struct.Struct("=Q")
_OWNER_BYTES = 16
_SIZE_BYTES = _OWNER_BYTES + _NUMBER.size * len(_NAMES)
_PLACES = {name: _OWNER_BYTES + _NUMBER.size * index for index, name in enumerate(_NAMES)}


class IngestCounts:
    """The numbers, in `memory`: a file's, or any that is as large."""

    def __init__(self, memory: mmap.mmap | bytearray | None = None) -> None:
        self._memory = memory or bytearray(_SIZE_BYTES)

    def see(self, count: int = 1) -> None:
        self._add("seen", count)

    def acknowledge(self, what: str, count: int = 1) -> None:
        """The receipt for `count` exchanges: `taken`, `unwanted` or `lost.reason`."""
        self._add(what if what in _PLACES else "lost.capture_failed", count)

    def as_dict(self) -> dict[str, int]:
        """By the names that the relays' counts have too."""
        counts = {name: _NUMBER.unpack_from(self._memory, place)[0] for name, place in _PLACES.items()}
        resolved = sum(counts.values()) - counts["seen"]
        return {name: count for name, count in counts.items() if count or name == "seen"} | {
            "open": counts["seen"] - resolved
        }

    def _add(self, name: str, count: int) -> None:
        place = _PLACES[name]
        _NUMBER.pack_into(self._memory, place, _NUMBER.unpack_from(self._memory, place)[0] + count)


def open_counts(path: Path, owner: bytes) -> IngestCounts:
    """The counts that an earlier engine of `owner` left at `path`, what was open then lost; else new ones.

    `owner` is 16 bytes. Where the disk takes no file they are in memory alone.
    """
    try:
        counts = IngestCounts(_map(path, owner))
    except OSError:
        return IngestCounts()
    counts.acknowledge("lost.engine_away", counts.as_dict()["open"])
    return counts


def _map(path: Path, owner: bytes) -> mmap.mmap:
    """The file, made anew for another owner. It is written as a whole first: room that the disk lacks must be missing
    now, not when a number changes."""
    left = path.read_bytes() if path.exists() else b""
    if len(left) != _SIZE_BYTES or not left.startswith(owner):
        path.write_bytes(owner + bytes(_SIZE_BYTES - _OWNER_BYTES))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _SIZE_BYTES)


def this_relay() -> bytes:
    """16 bytes that tell the process that started this one from any other, also from one with the same number."""
    parent = os.getppid()
    try:
        started = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        started = boot = ""
    return digest(parent, started, boot)
