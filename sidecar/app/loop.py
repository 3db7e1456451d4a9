"""The event loop of both processes: uvloop where it is to be had, asyncio elsewhere; and how little it is held up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # not built for this system
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def spare_the_collector() -> None:
    """Once started: never walk what start-up made, and the young less often, as exchanges hold no circles.

    Measured in the engine: a tenth of its processor time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


_MMAP_THRESHOLD = -3
"""glibc's number of the option."""
LARGE_BYTES = 128 * 1024
"""As glibc begins, before it learns from what is freed."""


def give_memory_back_in_pieces() -> None:
    """Where memory is glibc's: each large block goes back to the system when it is let go of, by itself.

    Left alone, glibc takes to keeping such blocks in one heap, and gives back all that is free at its end in one call
    of the system's: 9 ms for a body of 100 MB whose copy was sent, in which no traffic moves. Costs the relay about a
    tenth of the processor time of large bodies.
    """
    import ctypes  # the relay has no other use for it

    with contextlib.suppress(OSError, AttributeError):  # another system, another allocator
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
