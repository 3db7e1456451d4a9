"""Random ids, and numbers drawn from a hash: repeatable, independent, stable across restarts and processes."""

from __future__ import annotations

import hashlib
import os
import re

_POOL_IDS = 256
ID = re.compile(r"[0-9A-Za-z]+([-_][0-9A-Za-z]+)*")


class RandomIds:
    """Gives 16 random bytes a call; draws from the system in pools, as a call per id would show in the relay."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def __call__(self) -> bytes:
        if self._at >= len(self._pool):
            self._pool = os.urandom(16 * _POOL_IDS)
            self._at = 0
        start = self._at
        self._at = start + 16
        return self._pool[start : start + 16]


def fraction_of_id(random_id: bytes) -> float:
    """A number in [0, 1) from the first 8 bytes of a random id: the same in every process."""
    return _fraction_of(random_id)


def fraction(*parts: bytes | str | int) -> float:
    """A number in [0, 1) from the hash of `parts`: independent for any other parts, the same for the same ones."""
    return _fraction_of(digest(*parts))


def _fraction_of(content: bytes) -> float:
    """From the first 53 bits, as many as a float holds: with more of them the largest would be rounded up to 1."""
    return (int.from_bytes(content[:8], "big") >> 11) / 2**53


def digest(*parts: bytes | str | int) -> bytes:
    """16 bytes of BLAKE2b over `parts`, each with its length before it, so that ("ab", "c") is not ("a", "bc")."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(content).to_bytes(4, "big"))
        state.update(content)
    return state.digest()
