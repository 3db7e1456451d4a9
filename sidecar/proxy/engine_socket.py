"""The socket on which an engine is reached: listened on by the relay, accepted from by whichever engine lives.

The listening end belongs to the relay's process and is handed to each engine as an inherited descriptor. So connecting
succeeds while the relay lives, and what is sent while no engine does waits in the kernel. Where the system allows it
the socket is held by a handle besides its path, and is reached also when somebody has deleted the folder it stood in.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sidecar.errors import ConfigurationError, Problem

NAME = "engine.sock"
LONGEST_PATH_BYTES = 100
"""Below every system's limit for a Unix socket's path (108 on Linux, 104 on macOS)."""
NO_HANDLE = -1
_BACKLOG = 64


def engine_socket_path(data: Path) -> Path:
    """Where the socket of the data folder `data` stands; the same for every process that asks.

    In the folder itself; when that path is too long for a socket, under a name made from it in a private folder of this
    user in the system's temporary folder. A fresh folder each time would leave one behind at every kill.
    """
    path = data.absolute() / NAME
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        return path
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"sidecar-{os.getuid()}" / f"{digest}.sock"


def listen_for_engine(data: Path) -> socket.socket:
    """Listen at `engine_socket_path(data)`, mode 0600; a socket left there by an earlier run is removed.

    Raises ConfigurationError when the place cannot be used.
    """
    path = engine_socket_path(data)
    try:
        _prepare(path, is_ours=path.parent != data.absolute())
        return _listen(path)
    except OSError as error:
        raise ConfigurationError(Problem(f"cannot listen at {path}: {error}", field="--data")) from error


@contextlib.contextmanager
def held_engine_socket(data: Path) -> Iterator[tuple[socket.socket, int]]:
    """`listen_for_engine(data)` while this lasts, with a handle for `way_to_engine`; nothing is left of it.

    Raises ConfigurationError when the place cannot be used.
    """
    with contextlib.closing(listen_for_engine(data)) as listening:
        handle = _handle_of(engine_socket_path(data))
        try:
            yield listening, handle
        finally:
            if handle != NO_HANDLE:
                os.close(handle)
            forget_engine_socket(data)


def _handle_of(path: Path) -> int:
    """A descriptor that means the file at `path`, whatever becomes of the path."""
    if sys.platform != "linux":
        return NO_HANDLE
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return NO_HANDLE
    if Path(f"/proc/self/fd/{handle}").exists():
        return handle
    os.close(handle)  # a system without /proc
    return NO_HANDLE


def way_to_engine(data: Path, handle: int) -> Path:
    """Where this process, which has or inherited `handle`, connects to the engine of the data folder `data`."""
    return engine_socket_path(data) if handle == NO_HANDLE else Path(f"/proc/self/fd/{handle}")


def forget_engine_socket(data: Path) -> None:
    """Leave nothing behind that `listen_for_engine(data)` made; the folder stays while others use it."""
    path = engine_socket_path(data)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        if path.parent != data.absolute():
            path.parent.rmdir()


def _prepare(path: Path, *, is_ours: bool) -> None:
    if is_ours:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{path.parent} must be a folder that only this user may enter: remove it")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_socket():
        path.unlink()
    elif path.exists():
        raise FileExistsError("something that is no socket is in the way: remove it")


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(os.fspath(path))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(mask)
    listening.setblocking(False)
    return listening
