"""The destinations in use: those of each collector, opened when first needed, and again when its words change.

One whose words changed, or whose collector no longer names it, or whose collector is gone, is closed: at once, or when
the batch under way there has ended. None is closed under a delivery.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from sidecar import collector
from sidecar.delivery.destination import Destination, Resuming
from sidecar.delivery.registry import Parts, open_destination, resumes
from sidecar.errors import ConfigurationError
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.plan import Plan, Policy

_Key = tuple[str, str]
"""A collector's key and its destination's name."""


class _Opened:
    """One destination, and how many batches are under way there."""

    __slots__ = ("destination", "is_closed", "secret", "users", "wanted")

    def __init__(self, wanted: collector.Destination, secret: str, destination: Destination) -> None:
        self.wanted = wanted
        self.secret = secret
        self.destination = destination
        self.users = 0
        self.is_closed = False

    async def close(self) -> None:
        """Safe twice."""
        if not self.is_closed:
            self.is_closed = True
            await self.destination.close()


class Destinations:
    """Opens and remembers; `close` closes them all and is safe twice."""

    def __init__(self, parts: Parts, plan: Callable[[], Plan], on_error: Callable[[str, BaseException], None]) -> None:
        """`plan` gives what holds now."""
        self._parts = parts
        self._plan = plan
        self._closing = Tasks(on_error)
        self._open: dict[_Key, _Opened] = {}

    @contextlib.contextmanager
    def using(self, policy: Policy, wanted: collector.Destination) -> Iterator[Destination]:
        """`wanted`, one of `policy`'s, opened if need be, and not closed before the end.

        Raises ConfigurationError when its options cannot be taken.
        """
        key = (policy.collector.key, wanted.name)
        opened = self._opened(key, wanted, policy.collector.source.post_inputs_key_id)
        opened.users += 1
        try:
            yield opened.destination
        finally:
            opened.users -= 1
            self._close_if_gone(key, opened)

    def _opened(self, key: _Key, wanted: collector.Destination, secret: str) -> _Opened:
        known = self._open.get(key)
        if known is not None and (known.wanted, known.secret) == (wanted, secret):
            return known
        opened = _Opened(wanted, secret, open_destination(wanted, self._parts, secret))
        self._open[key] = opened
        if known is not None:
            self._close_if_gone(key, known)
        return opened

    def close_gone(self) -> None:
        """Close what the plan no longer has: for whoever makes a new one."""
        for key, opened in tuple(self._open.items()):
            self._close_if_gone(key, opened)

    def _close_if_gone(self, key: _Key, opened: _Opened) -> None:
        is_newest = self._open.get(key) is opened
        if opened.users or (is_newest and _is_in(self._plan(), key)):
            return
        if is_newest:
            del self._open[key]
        self._closing.start(opened.close(), f"close {'/'.join(key)}")

    async def resume(self, policies: Iterable[Policy]) -> None:
        """Go on with what an earlier life left in destinations; one that cannot be opened shows at its deliveries."""
        every = [(policy, wanted) for policy in policies for wanted in policy.collector.destinations if resumes(wanted)]
        for policy, wanted in every:
            with contextlib.suppress(ConfigurationError), self.using(policy, wanted) as destination:
                if isinstance(destination, Resuming):
                    await destination.resume(policy.collector.key)

    async def close(self) -> None:
        while self._open:
            _, opened = self._open.popitem()
            await opened.close()
        await self._closing.drained()


def _is_in(plan: Plan, key: _Key) -> bool:
    """A collector that stands still for now keeps its destinations."""
    collector_key, name = key
    policy = plan.policies.get(collector_key)
    if policy is None:
        return collector_key in plan.known
    return any(each.name == name for each in policy.collector.destinations)
