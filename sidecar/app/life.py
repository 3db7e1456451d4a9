"""How a child of the relay lives and ends: with that relay; an engine also first when memory is short, and alone on its
data folder."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from sidecar.events import Events
from sidecar.kit.files import holder_of, locked

LOCK = "engine.lock"
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
RELAY_ITSELF_BYTES = 64 << 20
LEAST_BYTES = 192 << 20
"""What an engine without traffic needs, and a little."""


def end_with_the_relay() -> None:
    """The relay holds the other end of our standard input: when it is gone, whatever it died of, so are we.

    A thread, as the loop may be busy with an operator that does not end.
    """

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-the-relay", daemon=True).start()


def be_killed_first() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def leave_room_for_the_relays(relay_memory_bytes: int, relays: int, limit_file: Path = CONTAINER_LIMIT) -> None:
    """Be refused memory before the container runs out of it.

    Kubernetes has a container killed whole, with the relays in it, whichever process the kernel would have chosen. An
    engine that is refused memory loses an exchange or ends; either is counted, and predictions go on.
    """
    try:
        most = int(limit_file.read_text()) - relay_memory_bytes - relays * RELAY_ITSELF_BYTES
    except (OSError, ValueError):  # no such limit, or no such system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(OSError, ValueError):  # a lower one is set already
        resource.setrlimit(resource.RLIMIT_DATA, (max(most, LEAST_BYTES), hard))


@contextlib.contextmanager
def alone_on(data: Path, events: Events) -> Iterator[None]:
    """Hold the data folder, made if need be; while another engine lives on it, say so and wait. Raises OSError."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = data / LOCK
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(lock, waits=False))
        except BlockingIOError:
            events.engine_waits(str(lock), holder_of(lock))
            held.enter_context(locked(lock))
        yield
