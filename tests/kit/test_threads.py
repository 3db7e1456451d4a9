"""A blocking call in a thread that nothing waits for."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from sidecar.kit.threads import in_daemon_thread


async def test_a_result_and_an_error_come_back() -> None:
    assert await in_daemon_thread(lambda: threading.current_thread().daemon, "one") is True

    def fails() -> None:
        raise SystemExit("bad")

    with pytest.raises(SystemExit, match="bad"):
        await in_daemon_thread(fails, "two")


async def test_what_comes_after_its_caller_has_left_is_no_fault() -> None:
    may_end, faults = threading.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))

    def late() -> None:
        may_end.wait()
        raise ValueError("late")

    given_up, unasked = in_daemon_thread(late, "given up"), in_daemon_thread(late, "unasked")
    given_up.cancel()
    may_end.set()
    await asyncio.wait((unasked,))
    del unasked
    gc.collect()
    assert faults == []


def test_a_loop_that_has_been_closed_hears_nothing() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def late() -> None:
        may_end.wait()
        ended.set()

    async def leave() -> None:
        in_daemon_thread(late, "left behind")

    asyncio.run(leave())
    may_end.set()
    assert ended.wait(5)
