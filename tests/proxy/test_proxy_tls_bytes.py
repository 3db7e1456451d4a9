"""TLS alone, between two ends of ours: whatever is said, and however the network cuts it, is heard as it was said."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trust import Trust

from sidecar.proxy.tls import TlsConnection

Step = tuple[int, bytes | None]
"""Which end says what; None: that it says no more."""


class Wire(asyncio.Transport):
    """One end's way to the other: keeps what was written until it is carried over."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.has_closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.has_closed

    def close(self) -> None:
        self.has_closed = True

    def resume_reading(self) -> None:
        pass


class End(asyncio.Protocol):
    """Hears everything; goes on speaking after the other end has ended."""

    def __init__(self) -> None:
        self.heard = b""
        self.ends_heard = 0
        self.failures: list[OSError] = []

    def data_received(self, data: bytes) -> None:
        assert not self.ends_heard
        self.heard += data

    def eof_received(self) -> bool:
        self.ends_heard += 1
        return True

    def greeted(self, connection: TlsConnection) -> None:
        pass

    def failed(self, connection: TlsConnection, error: OSError) -> None:
        self.failures.append(error)


class Pair:
    """Two ends, and a network that cuts what it carries at `cuts`."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, cuts: list[int]) -> None:
        self._cuts = cuts
        self._cut = 0
        self.wires = (Wire(), Wire())
        self.ends = (End(), End())
        self.sides = (
            TlsConnection(self.ends[0], client, self.ends[0], server_name="localhost"),
            TlsConnection(self.ends[1], server, self.ends[1]),
        )
        for side, wire in zip(self.sides, self.wires, strict=True):
            side.connection_made(wire)
        while any(wire.written for wire in self.wires):
            self.carry(0)
            self.carry(1)

    def carry(self, sender: int, *, all_of_it: bool = True) -> None:
        """Hand on what that end has written, in pieces; or one piece of it."""
        wire = self.wires[sender]
        while wire.written:
            self._cut += 1
            size = self._cuts[self._cut % len(self._cuts)]
            piece, wire.written = bytes(wire.written[:size]), wire.written[size:]
            self.sides[1 - sender].data_received(piece)
            if not all_of_it:
                return

    def close(self) -> None:
        for side in self.sides:
            side.connection_lost(None)


async def _play(client: ssl.SSLContext, server: ssl.SSLContext, steps: list[Step], cuts: list[int]) -> None:
    pair = Pair(client, server, cuts)
    said = [b"", b""]
    ended = [False, False]
    for number, data in steps:
        if ended[number]:
            continue
        if data is None:
            ended[number] = True
            pair.sides[number].write_eof()
        else:
            said[number] += data
            pair.sides[number].write(data)
        pair.carry(number, all_of_it=False)
    for number in (0, 1):
        pair.carry(number)
    assert [pair.ends[1].heard, pair.ends[0].heard] == said
    assert [pair.ends[1].ends_heard, pair.ends[0].ends_heard] == [int(end) for end in ended]
    assert not pair.ends[0].failures + pair.ends[1].failures
    pair.close()


_SAID = st.one_of(st.none(), st.binary(max_size=50), st.just(bytes(range(256)) * 200))
_STEPS = st.lists(st.tuples(st.integers(0, 1), _SAID), max_size=12)
_CUTS = st.lists(st.one_of(st.integers(1, 40), st.integers(1, 70_000)), min_size=1, max_size=5)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@settings(max_examples=60)
@given(steps=_STEPS, cuts=_CUTS)
def test_what_is_said_is_heard_and_each_direction_ends_by_itself(
    trust: Trust, version: ssl.TLSVersion, steps: list[Step], cuts: list[int]
) -> None:
    client, server = trust.authority.client(), trust.model()
    client.maximum_version = client.minimum_version = version
    asyncio.run(_play(client, server, steps, cuts))


async def test_a_closed_end_waits_for_the_other_to_end_as_well(trust: Trust) -> None:
    pair = Pair(trust.authority.client(), trust.model(), [100])
    pair.sides[0].write(b"last words")
    pair.sides[0].close()
    assert pair.sides[0].is_closing()
    assert not pair.wires[0].has_closed
    pair.carry(0)
    assert (pair.ends[1].heard, pair.ends[1].ends_heard) == (b"last words", 1)
    pair.sides[1].write(b"too late")
    pair.sides[1].close()
    assert pair.wires[1].has_closed
    pair.carry(1)
    assert pair.wires[0].has_closed
    assert pair.ends[0].heard == b""
    pair.close()


async def test_what_was_changed_on_the_way_is_never_handed_on(trust: Trust) -> None:
    pair = Pair(trust.authority.client(), trust.model(), [1 << 20])
    pair.sides[0].write(b"whole")
    pair.sides[0].write(b"forged")
    pair.wires[0].written[-1] ^= 1
    pair.carry(0)
    assert pair.ends[1].heard == b"whole"
    [failure] = pair.ends[1].failures
    assert "bad record mac" in str(failure).lower().replace("_", " ")
    pair.carry(1)
    [told] = pair.ends[0].failures
    assert "alert bad record mac" in str(told).lower().replace("_", " ")
    pair.close()
