"""How often an address may bring a wrong token: so often at once, then one each few seconds.

Holds one number for each of a bounded number of addresses; the one that failed longest ago is forgotten first. Whoever
is over the limit is told how long to wait, and nothing that it brings is looked at until then.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

AT_ONCE = 20
SECONDS_EACH = 3.0
MOST_ADDRESSES = 1024
_ONE_SITE_BITS = 64


class FailedTries:
    """Counts wrong tokens by address. `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._free_at: OrderedDict[str, float] = OrderedDict()
        """Address → when all that it failed is forgiven."""

    def wait_seconds(self, address: str) -> float:
        """0 when `address` may try; else how long it has to wait."""
        over = self._free_at.get(address, 0.0) - self._monotonic() - (AT_ONCE - 1) * SECONDS_EACH
        return max(over, 0.0)

    def failed(self, address: str) -> bool:
        """Count a wrong token; True when it was the last that is looked at for now."""
        now = self._monotonic()
        self._free_at[address] = max(self._free_at.pop(address, 0.0), now) + SECONDS_EACH
        while len(self._free_at) > MOST_ADDRESSES:
            self._free_at.popitem(last=False)
        return self.wait_seconds(address) > 0


def place_of(peer: object) -> str:
    """What tries are counted by: a peer's address; in IPv6 its network of 64 bits, as one host has all of it."""
    if not isinstance(peer, tuple) or not peer:
        return "unix"
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return str(peer[0])
    if isinstance(address, ipaddress.IPv4Address) or address.ipv4_mapped is not None:
        return str(getattr(address, "ipv4_mapped", None) or address)
    return str(ipaddress.ip_network((address, _ONE_SITE_BITS), strict=False))
