"""A blocking call in a thread of its own, which nothing waits for at exit."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def in_daemon_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Run `work`, whose result or error is the future's.

    A call that never returns costs a thread, not the process's end, for which an executor's threads are waited. Nobody
    has to ask for the error of one that came too late.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    future.add_done_callback(_heard)

    def run() -> None:
        settle: Callable[[], None]
        try:
            settle = functools.partial(future.set_result, work())
        except BaseException as error:  # noqa: BLE001 - it is the future's now
            # else the error holds this frame, which holds the future and the error: a circle, with all that `work` has
            error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
            settle = functools.partial(future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to hear it
            loop.call_soon_threadsafe(_unless_done, future, settle)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def _unless_done(future: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not future.done():
        settle()


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
