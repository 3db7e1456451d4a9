"""What any active collector could want, on its way to every relay: told at once, but not at every change.

Writing and reading an index cost in proportion to the collectors there are, so telling it at each of n changes costs n
times n. After each time there is a pause, so many times as long as writing took; who comes first is told at once, and
what changes meanwhile is told together at its end. For one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.frame import Index, encode_index

PAUSE_TIMES = 20
"""Of 21 parts of time at most one goes into telling, however fast the collectors change."""


class Announcement:
    """Calls `tell` with the index's text."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._index = Index()
        self._text: str | None = None
        self._is_told = True
        self._later: asyncio.TimerHandle | None = None
        self._writing_seconds = 0.0

    @property
    def text(self) -> str:
        """The newest index, for a relay that has just come."""
        if self._text is None:
            now = asyncio.get_running_loop().time
            began = now()
            self._text = encode_index(self._index)
            self._writing_seconds = now() - began
        return self._text

    def change(self, index: Index) -> None:
        """Have `index` told, in place of any that was not told yet."""
        self._index, self._text, self._is_told = index, None, False
        if self._later is None:
            self._now()

    def stop(self) -> None:
        """Tell nothing more. Safe twice."""
        if self._later is not None:
            self._later.cancel()

    def _now(self) -> None:
        self._tell(self.text)
        self._is_told = True
        self._later = asyncio.get_running_loop().call_later(self._writing_seconds * PAUSE_TIMES, self._after_pause)

    def _after_pause(self) -> None:
        self._later = None
        if not self._is_told:
            self._now()
