"""Standard streams that can neither hold up nor fail whoever writes to them.

A log's reader may stop reading or be gone; a write to its full pipe then waits for as long as that lasts, and one to a
closed pipe raises. Traffic must feel neither: what is written here is taken at once and written by a thread of its
own. What does not fit is dropped and counted, and that count is written when there is room again.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LIMIT_BYTES = 1 << 20
CLOSE_SECONDS = 1.0


class _Outlet(io.RawIOBase):
    """The bytes' end: a queue before the descriptor."""

    def __init__(self, descriptor: int, limit_bytes: int) -> None:
        self._descriptor = descriptor
        self._limit_bytes = limit_bytes
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._dropped_lines = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        """Take `data`, always."""
        content = bytes(data)
        with self._lock:
            if self._waiting_bytes + len(content) > self._limit_bytes:
                self._dropped_lines += 1
            else:
                self._waiting_bytes += len(content)
                self._waiting.put(content)
        return len(content)

    def _write_all(self) -> None:
        while (content := self._waiting.get()) is not None:
            self._write(content)
            with self._lock:
                self._waiting_bytes -= len(content)
                dropped = self._dropped_lines if self._waiting.empty() else 0
                self._dropped_lines -= dropped
            if dropped:
                self._write(b'{"event": "log lines dropped, the log was not read", "lines": %d}\n' % dropped)

    def _write(self, content: bytes) -> None:
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError:  # the reader is gone, and with it the place where this could be said
            return

    def end(self) -> None:
        """Give what waits a moment to be written."""
        self._waiting.put(None)
        self._thread.join(CLOSE_SECONDS)


class UnblockedStream(io.TextIOWrapper):
    """Takes text for `descriptor`, which stays open. `end` writes what is left, if that is read soon."""

    def __init__(self, descriptor: int, limit_bytes: int = LIMIT_BYTES) -> None:
        self._outlet = _Outlet(descriptor, limit_bytes)
        # the type asks for a buffer; `write_through` makes any raw end do, as one that takes all it is given
        super().__init__(self._outlet, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[arg-type]

    def end(self) -> None:
        self._outlet.end()


@contextlib.contextmanager
def unblocked_streams() -> Iterator[None]:
    """Within, nothing that this process prints, logs or warns of waits for, or fails with, whoever reads it."""
    with (
        contextlib.redirect_stdout(UnblockedStream(1)) as out,
        contextlib.redirect_stderr(UnblockedStream(2)) as errors,
    ):
        try:
            yield
        finally:
            out.end()
            errors.end()
