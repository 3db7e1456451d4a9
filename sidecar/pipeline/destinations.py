"""The destinations in use: one a collector, opened when first needed, and again when the collector's words change."""

from __future__ import annotations

from sidecar import collector
from sidecar.delivery.destination import Destination
from sidecar.delivery.registry import Parts, open_destination
from sidecar.pipeline.plan import Policy


class Destinations:
    """Opens and remembers; `close` closes them all and is safe twice."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open: dict[str, tuple[collector.Destination, str, Destination]] = {}

    def of(self, policy: Policy) -> Destination:
        """The destination of `policy`'s collector. Raises ConfigurationError when its options cannot be taken."""
        key, wanted = policy.collector.key, policy.collector.destination
        secret = policy.collector.source.post_inputs_key_id
        known = self._open.get(key)
        if known is not None and known[:2] == (wanted, secret):
            return known[2]
        destination = open_destination(wanted, self._parts, secret)
        self._open[key] = (wanted, secret, destination)
        return destination

    async def close(self) -> None:
        while self._open:
            _, (_, _, destination) = self._open.popitem()
            await destination.close()
