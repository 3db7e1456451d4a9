"""Random ids, and numbers drawn from a hash: repeatable, independent, stable across restarts and processes."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import struct
from collections.abc import Callable

_POOL_IDS = 256
ID = re.compile(r"[0-9A-Za-z]+([-_][0-9A-Za-z]+)*")


class RandomIds:
    """Gives 16 random bytes a call; draws from the system in pools, as a call per id would show in the relay."""

    def __init__(self) -> None:
        pools = (struct.iter_unpack("16s", os.urandom(16 * _POOL_IDS)) for _ in itertools.repeat(None))
        each = itertools.chain.from_iterable(itertools.chain.from_iterable(pools))
        self.draw: Callable[[], bytes] = each.__next__
        """The next one. No function of ours is called for it, save once a pool."""

    def __call__(self) -> bytes:
        return self.draw()


def fraction_of_id(random_id: bytes) -> float:
    """A number in [0, 1) from the first 8 bytes of a random id: the same in every process."""
    return _fraction_of(random_id)


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
