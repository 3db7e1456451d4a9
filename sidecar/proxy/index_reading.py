"""Reads what the engine says is wanted, without holding the loop: ten thousand collectors are ten thousand rules.

A short index is read at once. A long one is read in slices, with traffic between them, and then rested from, so that a
policy folder that changes all the time costs traffic little; of those that come meanwhile only the newest is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar import frame
from sidecar.frame import FrameError, Index
from sidecar.kit.tasks import Tasks

REST = 9
"""Rests this many times as long as it read: the relay spends no more than a tenth of its time on it."""


class IndexReading:
    """Gives each index read to `on_read`, and what cannot be read to `on_fault`; its task belongs to `tasks`."""

    def __init__(self, tasks: Tasks, on_read: Callable[[Index], None], on_fault: Callable[[FrameError], None]) -> None:
        self._tasks = tasks
        self._on_read = on_read
        self._on_fault = on_fault
        self._newest: str | None = None
        self._is_reading = False

    def said(self, text: str) -> None:
        """The engine said this index. Raises FrameError when it is short and cannot be read."""
        if self._is_reading:
            self._newest = text
        elif text.count("\n") < frame.SLICE_RULES:
            self._on_read(frame.decode_index(text))
        else:
            self._newest = text
            self._is_reading = True
            self._tasks.start(self._read_newest(), "index of the engine")

    async def _read_newest(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._newest is not None:
                text, self._newest = self._newest, None
                began = loop.time()
                await self._read(text)
                await asyncio.sleep(REST * (loop.time() - began))
        finally:
            self._is_reading = False

    async def _read(self, text: str) -> None:
        slices = frame.decode_index_in_slices(text)
        while True:
            try:
                next(slices)
            except StopIteration as read:
                self._on_read(read.value)
                return
            except FrameError as error:
                self._on_fault(error)
                return
            await asyncio.sleep(0)
