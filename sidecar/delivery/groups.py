"""Items that go in several requests: each group by itself, in halves where one item may have spoilt the others.

Pure but for the call that is handed in. Promises an outcome for every item, and that once a whole group has to wait the
far side is asked nothing more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from sidecar.delivery.judge import Verdict
from sidecar.delivery.outcome import Outcome, Retry


class Placed(Protocol):
    """Anything with its place among the parcels."""

    @property
    def place(self) -> int: ...


PlacedT = TypeVar("PlacedT", bound=Placed)


async def post_groups(
    groups: Iterable[Sequence[PlacedT]],
    post: Callable[[Sequence[PlacedT]], Awaitable[Verdict]],
    at_once: int = 1,
) -> dict[int, Outcome]:
    """An outcome for each item by its place; as many groups as `at_once` are under way at one time."""
    waiting = deque(groups)
    outcomes: dict[int, Outcome] = {}

    async def work() -> None:
        while waiting:
            group = waiting.popleft()
            verdict = await post(group)
            if verdict.concerns_the_batch:
                middle = len(group) // 2
                waiting.extendleft((group[middle:], group[:middle]))
                continue
            outcomes.update((item.place, outcome) for item, outcome in zip(group, verdict.outcomes, strict=True))
            if all(isinstance(outcome, Retry) for outcome in verdict.outcomes):
                outcomes.update((item.place, verdict.outcomes[0]) for rest in waiting for item in rest)
                waiting.clear()

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(at_once, len(waiting))):
            workers.create_task(work())
    return outcomes
