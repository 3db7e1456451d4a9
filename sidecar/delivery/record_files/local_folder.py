"""A folder of this machine as a store: what is put there is on the disk.

Files are written aside, synced, renamed, and their folder is synced. All work is done in threads of its own, so that a
disk that hangs holds up nobody else, nor the process's end; how many may hang is bounded. What a kill leaves half
written lies in one hidden folder and is cleared away.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from sidecar.delivery.outcome import Rejected, Retry
from sidecar.delivery.record_files.stores import Found, StoreError
from sidecar.kit.threads import in_daemon_thread

ASIDE = ".aside"
MOST_THREADS = 16
ASIDE_SECONDS = 3600.0
"""What was written aside longer ago belongs to nobody any more."""
_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_FORBIDDEN = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_NO_FOLDER = frozenset((errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG))


class LocalFolder:
    """The folder `root`, which is made when it is not there."""

    def __init__(self, root: str, timeout_seconds: float) -> None:
        self._root = Path(root)
        self._timeout_seconds = timeout_seconds
        self._slots = threading.BoundedSemaphore(MOST_THREADS)

    async def put(self, path: str, content: bytes) -> None:
        await self._do(self._put, path, content)

    async def get(self, path: str) -> bytes | None:
        return await self._do(self._get, path)

    async def listed(self, folder: str) -> list[Found]:
        return await self._do(self._list, folder)

    async def delete(self, paths: Sequence[str]) -> None:
        await self._do(self._delete, paths)

    async def close(self) -> None:
        """Nothing is held open."""

    async def _do(self, work: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        if not self._slots.acquire(blocking=False):
            raise StoreError(Retry("timeout", "the disk has not answered earlier calls"))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await in_daemon_thread(functools.partial(self._in_slot, work, *args), "record-files")
        except TimeoutError:
            raise StoreError(Retry("timeout", f"the disk took longer than {self._timeout_seconds:g} s")) from None
        except OSError as error:
            raise StoreError(fault_of(error)) from error

    def _in_slot(self, work: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        try:
            return work(*args)
        finally:
            self._slots.release()

    def _put(self, path: str, content: bytes) -> None:
        target, aside = self._root / path, self._root / ASIDE / secrets.token_hex(8)
        _make(aside.parent)
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _make(target.parent)
            aside.replace(target)
            _sync(target.parent)
        finally:
            aside.unlink(missing_ok=True)

    def _get(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def _list(self, folder: str) -> list[Found]:
        self._clear_aside()
        return list(_found(self._root / folder, folder))

    def _clear_aside(self) -> None:
        for each in _found(self._root / ASIDE, ""):
            if time.time() - each.modified_at > ASIDE_SECONDS:
                (self._root / ASIDE / each.path).unlink(missing_ok=True)

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            target = self._root / path
            target.unlink(missing_ok=True)
        for parent in {(self._root / path).parent for path in paths} - {self._root}:
            with contextlib.suppress(OSError):  # it holds something else
                parent.rmdir()


def fault_of(error: OSError) -> Retry | Rejected:
    """What the system's error means for what was to be delivered."""
    detail = f"{error.filename or 'the folder'}: {error.strerror}"
    if error.errno in _FULL:
        return Retry("disk_full", detail)
    if error.errno in _FORBIDDEN:
        return Rejected("forbidden", detail)
    if error.errno in _NO_FOLDER:
        return Rejected("no_folder", detail)
    return Retry("disk_failed", detail)


def _found(folder: Path, prefix: str) -> Iterator[Found]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _found(folder / entry.name, f"{prefix}{entry.name}/")
            else:
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    known = entry.stat(follow_symlinks=False)
                    yield Found(prefix + entry.name, known.st_size, known.st_mtime)


def _make(folder: Path) -> None:
    """Make it and what it stands in, each to stay."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
