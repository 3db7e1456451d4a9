"""The index on its way to the relays: a change alone is told at once, many are told together, the last one always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sidecar.capture.announcement import Announcement
from sidecar.frame import Index, Want, build_index, encode_index


def index(*models: str) -> Index:
    return build_index(Want(model) for model in models)


class Relay:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._told = asyncio.Event()

    def hear(self, text: str) -> None:
        self.told.append(text)
        self._told.set()

    async def hears(self, text: str) -> None:
        while self.told[-1:] != [text]:
            self._told.clear()
            await asyncio.wait_for(self._told.wait(), 10)


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
async def announcement(relay: Relay) -> AsyncIterator[Announcement]:
    announcement = Announcement(relay.hear)
    yield announcement
    announcement.stop()


async def test_a_change_alone_is_told_at_once(relay: Relay, announcement: Announcement) -> None:
    announcement.change(index("a"))
    assert relay.told == [encode_index(index("a"))]


async def test_many_changes_are_told_together_and_the_last_one_is_among_them(
    relay: Relay, announcement: Announcement
) -> None:
    every = [index(*(f"m{number}" for number in range(last + 1))) for last in range(300)]
    for each in every:
        announcement.change(each)
    assert relay.told == [encode_index(every[0])]
    await relay.hears(encode_index(every[-1]))
    assert len(relay.told) == 2
    announcement.change(index("b"))
    await relay.hears(encode_index(index("b")))


async def test_a_relay_that_comes_meanwhile_is_told_the_newest(relay: Relay, announcement: Announcement) -> None:
    assert announcement.text == ""
    announcement.change(index("a"))
    announcement.change(index("b"))
    assert announcement.text == encode_index(index("b"))
    assert relay.told == [encode_index(index("a"))]
    await relay.hears(encode_index(index("b")))


async def test_nothing_is_told_after_the_stop(relay: Relay, announcement: Announcement) -> None:
    announcement.change(index("a"))
    announcement.change(index("b"))
    announcement.stop()
    announcement.stop()
    assert announcement._later is not None
    assert announcement._later.cancelled()
