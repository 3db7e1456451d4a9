"""The destinations in use: those of each collector, opened when first needed, and again when its words change.

One whose words changed is closed: no delivery is under way there, as each has one batch at a time, and is asked for
before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from sidecar import collector
from sidecar.delivery.destination import Destination, Resuming
from sidecar.delivery.registry import Parts, open_destination, resumes
from sidecar.errors import ConfigurationError
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.plan import Policy


class Destinations:
    """Opens and remembers; `close` closes them all and is safe twice."""

    def __init__(self, parts: Parts, on_error: Callable[[str, BaseException], None]) -> None:
        self._parts = parts
        self._closing = Tasks(on_error)
        self._open: dict[tuple[str, str], tuple[collector.Destination, str, Destination]] = {}

    def of(self, policy: Policy, wanted: collector.Destination) -> Destination:
        """Opens `wanted`, one of `policy`'s. Raises ConfigurationError when its options cannot be taken."""
        key = (policy.collector.key, wanted.name)
        secret = policy.collector.source.post_inputs_key_id
        known = self._open.get(key)
        if known is not None and known[:2] == (wanted, secret):
            return known[2]
        destination = open_destination(wanted, self._parts, secret)
        if known is not None:
            self._closing.start(known[2].close(), f"close {'/'.join(key)}")
        self._open[key] = (wanted, secret, destination)
        return destination

    async def resume(self, policies: Iterable[Policy]) -> None:
        """Go on with what an earlier life left in destinations; one that cannot be opened shows at its deliveries."""
        every = [(policy, wanted) for policy in policies for wanted in policy.collector.destinations if resumes(wanted)]
        for policy, wanted in every:
            with contextlib.suppress(ConfigurationError):
                destination = self.of(policy, wanted)
                if isinstance(destination, Resuming):
                    await destination.resume(policy.collector.key)

    async def close(self) -> None:
        while self._open:
            _, (_, _, destination) = self._open.popitem()
            await destination.close()
        await self._closing.drained()
