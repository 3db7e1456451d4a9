"""The signals that end a relay's process: the first one asks it to, the second one means now."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from sidecar.events import Events


class Stopping:
    """Waits for SIGTERM or Ctrl-C."""

    def __init__(
        self,
        events: Events,
        asked: Callable[[signal.Signals], None] = lambda _: None,
        at_once: Callable[[], None] = lambda: None,
    ) -> None:
        """`asked` is called at the first signal, `at_once` before the second one ends the process."""
        self._events = events
        self._asked = asked
        self._at_once = at_once
        self._has_come = asyncio.Event()
        self.is_hurried = False
        """A person at a terminal asks: no load balancer has to learn of it."""

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._has_come.is_set():
            self._at_once()
            os._exit(128 + number)
        self._events.stopping(number.name)
        self.is_hurried = number == signal.SIGINT
        self._has_come.set()
        self._asked(number)

    async def wait(self) -> None:
        """Until the first signal."""
        await self._has_come.wait()
