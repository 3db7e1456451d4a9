"""Ids that sort by time, and numbers drawn from a hash: repeatable, independent, the same in every process."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import struct
import time
from collections.abc import Callable

_POOL_IDS = 256
TIME_BYTES = 6
"""Of an id: when it was made, in milliseconds since the epoch, big-endian; the other 10 are random."""
ID = re.compile(r"[0-9A-Za-z]+([-_][0-9A-Za-z]+)*")


def require_id(name: str) -> str:
    """`name` if it is an id as the contract writes them. Raises ValueError."""
    if not ID.fullmatch(name):
        raise ValueError("is not an id: letters and digits, single - or _ between them")
    return name


class OrderedIds:
    """Gives 16 bytes a call: the time, as in a UUID of version 7 (RFC 9562), then ten random ones.

    An index on them grows at its end: with random ids each row of a large one dirties a page of its own, which is seven
    times as much to write. Drawn in pools, as a call per id would show in the relay; the time is the pool's.
    """

    def __init__(self) -> None:
        pools = (struct.iter_unpack("16s", _pool()) for _ in itertools.repeat(None))
        each = itertools.chain.from_iterable(itertools.chain.from_iterable(pools))
        self.draw: Callable[[], bytes] = each.__next__
        """The next one. No function of ours is called for it, save once a pool."""

    def __call__(self) -> bytes:
        return self.draw()


def _pool() -> bytes:
    now = (time.time_ns() // 1_000_000).to_bytes(TIME_BYTES, "big")
    size = 16 - TIME_BYTES
    drawn = os.urandom(size * _POOL_IDS)
    return b"".join([now + drawn[start : start + size] for start in range(0, len(drawn), size)])


def fraction_of_id(exchange_id: bytes) -> float:
    """A number in [0, 1) from the last 8 bytes of an exchange's id, which are random: the same in every process."""
    return _fraction_of(exchange_id[-8:])


def fraction(drawn: bytes | str, *names: str | int) -> float:
    """A number in [0, 1) from the hash of what is drawn for and of who draws: independent for any other parts, the same
    for the same ones."""
    first = drawn if isinstance(drawn, bytes) else drawn.encode()
    content = len(first).to_bytes(4, "big") + first + _measured_names(names)
    return _fraction_of(hashlib.blake2b(content, digest_size=16).digest())


def _fraction_of(content: bytes) -> float:
    """From the first 53 bits, as many as a float holds: with more of them the largest would be rounded up to 1."""
    return (int.from_bytes(content[:8], "big") >> 11) / 2**53


def digest(*parts: bytes | str | int) -> bytes:
    """16 bytes of BLAKE2b over `parts`, each with its length before it, so that ("ab", "c") is not ("a", "bc")."""
    contents = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return hashlib.blake2b(b"".join([_measured(content) for content in contents]), digest_size=16).digest()


def _measured(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


@functools.lru_cache(1024)
def _measured_names(names: tuple[str | int, ...]) -> bytes:
    """Remembered: the same collectors and nodes draw for every input."""
    return b"".join([_measured(str(name).encode()) for name in names])
