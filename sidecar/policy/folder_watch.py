"""Tells when the policy files of a folder have changed, whatever the change looks like on the disk.

Owns no policy: whoever is told reads the folder. Notifications (watchfiles) only say when to look; whether anything has
changed is decided by the files' own stamps, so that a symlink that is swapped (Kubernetes mounts a ConfigMap like
that), an editor's rename and a file written in place are all the same. Promises that a change is told also where no
notification comes (a network's file system, a folder that was made anew), within `LOOK_SECONDS`; and that what has
vanished is looked for once more before that is told. Never blocks the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

from watchfiles import Change, awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from sidecar.errors import ConfigurationError
from sidecar.policy.files import policy_files

LOOK_SECONDS = 2.0
"""How often is looked without a notification."""
GONE_SECONDS = 2.0
"""How long a file may be away: a folder is often replaced by emptying it first."""
_QUIET_MILLISECONDS = 100
"""What is being written is left alone until nothing has come for that long."""
_AT_MOST_MILLISECONDS = 1000

Stamps = dict[str, tuple[int, ...]]


class _Look(NamedTuple):
    """What the disk says. A folder that is not there has no `folder` and no files."""

    folder: tuple[int, ...]
    files: Stamps


class FolderWatch:
    """The policy files of `folder`; what they are when this is made is not told."""

    def __init__(self, folder: Path, gone_seconds: float = GONE_SECONDS) -> None:
        self._folder = folder.absolute()
        self._gone_seconds = gone_seconds
        self._told: _Look | None = _look(self._folder)

    def again(self) -> None:
        """Tell at the next look, also when nothing has changed since."""
        self._told = None

    async def changes(self) -> AsyncGenerator[None, None]:
        """One item for each change, as long as it is asked for."""
        while True:
            watched = await asyncio.to_thread(_look, self._folder)
            if await self._has_changed():
                yield
            try:
                async with contextlib.aclosing(self._notifications()) as notifications:
                    async for _ in notifications:
                        if await self._has_changed():
                            yield
                        if self._told is not None and self._told.folder != watched.folder:
                            break  # another folder stands there: it must be watched anew
            except (OSError, WatchfilesRustInternalError):  # cannot be watched now, say for want of notifications
                await asyncio.sleep(LOOK_SECONDS)

    async def _notifications(self) -> AsyncGenerator[object, None]:
        """The folder's, and of the one above it: it tells when this one comes, goes or is replaced."""
        above = next(each for each in self._folder.parents if each.is_dir())
        paths = [above, self._folder] if self._folder.is_dir() else [above]
        seen = awatch(
            *paths, watch_filter=self._concerns, recursive=False, yield_on_timeout=True,
            rust_timeout=round(LOOK_SECONDS * 1000), debounce=_AT_MOST_MILLISECONDS, step=_QUIET_MILLISECONDS,
        )  # fmt: skip
        async with contextlib.aclosing(seen):
            async for each in seen:
                yield each

    def _concerns(self, _change: Change, path: str) -> bool:
        return self._folder in (Path(path), Path(path).parent)

    async def _has_changed(self) -> bool:
        now = await asyncio.to_thread(_look, self._folder)
        if self._told is not None and self._told.files.keys() - now.files.keys():
            await asyncio.sleep(self._gone_seconds)
            now = await asyncio.to_thread(_look, self._folder)
        has_changed = self._told is None or now.files != self._told.files or bool(now.folder) != bool(self._told.folder)
        self._told = now
        return has_changed


def _look(folder: Path) -> _Look:
    try:
        found = folder.stat()
        files = policy_files(folder)
    except (OSError, ConfigurationError):
        return _Look((), {})
    return _Look((found.st_dev, found.st_ino), {str(path): _stamp(path) for path in files})


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)
