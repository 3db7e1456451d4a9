"""Letting go of what a caught error holds. Must not be used where the variables of its frames are looked at later."""

from __future__ import annotations

import traceback


def clear(error: BaseException) -> None:
    """Empty the frames that `error` and those it came of have passed through; frames that still run are left alone.

    Libraries keep errors in variables of those very frames, aiohttp's connecting among them: a circle, in which the
    body that was to be sent lives on until the garbage collector comes, and in a process that makes little else it
    seldom does. Failing posts of 200 kB were 100 MB before it did.
    """
    known: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            traceback.clear_frames(each.__traceback__)
            waiting += [each.__cause__, each.__context__]
