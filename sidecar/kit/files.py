"""Files that are whole or not there, and a lock that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write `content` aside with `mode`, then rename: a reader sees the old file or the new one, whole."""
    with writing_whole(path, mode) as file:
        file.write(content)


@contextlib.contextmanager
def writing_whole(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """The same for what is written bit by bit: renamed at the end, gone when the block raises."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, *, waits: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on `path`, where the holder's process id is then to be read; the system lets go when the
    process dies. Waits for whoever has it, or raises BlockingIOError when `waits` is False."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder_of(path: Path) -> str:
    """The process id of whoever holds the lock on `path`, as text; blank when it has not said so."""
    try:
        return path.read_text()
    except OSError:
        return ""
