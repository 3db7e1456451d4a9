"""What every destination must do, whatever its kind: before a far side that is well, and in each kind of trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from support.clock import FakeClock

from contract.end import REFERENCE, Case, End
from contract.ends import ENDS
from contract.parcels import parcel
from sidecar import collector
from sidecar.data import Data
from sidecar.delivery.destination import Destination, Parcel
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.registry import DESTINATIONS, Parts, new_session, open_destination
from sidecar.store.database import Database, sqlite_url

BATCH = (parcel("a"), parcel("b"), parcel("c"))
IDS = sorted(each.input_id for each in BATCH)
LONGEST_SECONDS = 10.0
"""No delivery of these tests may take as long."""


class Room:
    """A far side, and destinations before it."""

    def __init__(self, end: End, parts: Parts) -> None:
        self.end = end
        self._parts = parts
        self._open: list[Destination] = []

    def open(self, **more: object) -> Destination:
        options = {**self.end.options(), **more}
        destination = open_destination(collector.Destination(self.end.kind, options), self._parts)
        self._open.append(destination)
        return destination

    async def close(self) -> None:
        for destination in self._open:
            await destination.close()
            await destination.close()


@pytest.fixture
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    async def secret_of(reference: str) -> str | None:
        return end.secret if reference == REFERENCE else None

    async def no_sleep(_seconds: float) -> None:
        await asyncio.sleep(0)

    (tmp_path / "end").mkdir()
    database = Database(sqlite_url(tmp_path))
    async with new_session() as session:
        end = ENDS[request.param](tmp_path / "end", database)
        await end.start()
        room = Room(end, Parts(database, session, secret_of, FakeClock(), no_sleep))
        try:
            yield room
        finally:
            await room.close()
            await end.stop()
            await database.close()


every_end = pytest.mark.parametrize("room", ENDS, indirect=True)


def ends_that_can_be(case: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "room", [name for name, end in ENDS.items() if case not in end.cannot], indirect=True
    )


async def deliver(destination: Destination, parcels: Sequence[Parcel] = BATCH) -> list[Outcome]:
    async with asyncio.timeout(LONGEST_SECONDS):
        return await destination.deliver(parcels)


async def is_stored(room: Room, ids: Sequence[str]) -> bool:
    """True if the far side has each of `ids` and nothing else; as often as it was sent if it cannot tell repeats."""
    stored = sorted(await room.end.stored())
    return (stored if room.end.can_tell_repeats else sorted(set(stored))) == sorted(ids)


def test_every_kind_has_an_end() -> None:
    assert {end.kind for end in ENDS.values()} == set(DESTINATIONS)


@pytest.mark.parametrize("name", ENDS)
def test_every_case_is_made_or_declared_impossible_with_the_reason(name: str) -> None:
    end = ENDS[name]
    made = {case for case in Case if getattr(end, case) is not getattr(End, case)}
    assert made | set(end.cannot) == set(Case)
    assert not made & set(end.cannot)
    assert all(len(reason.split()) > 3 for reason in end.cannot.values())


@every_end
async def test_a_batch_arrives(room: Room) -> None:
    assert await deliver(room.open()) == [Delivered()] * 3
    assert sorted(await room.end.stored()) == IDS


@every_end
async def test_a_repeat_is_success(room: Room) -> None:
    destination = room.open()
    assert await deliver(destination, BATCH[:2]) == [Delivered()] * 2
    assert await deliver(destination) == [Delivered()] * 3
    assert await deliver(room.open()) == [Delivered()] * 3
    assert await is_stored(room, IDS)


@every_end
async def test_a_parcel_twice_in_a_batch_is_success(room: Room) -> None:
    assert await deliver(room.open(), (BATCH[0], BATCH[1], BATCH[0])) == [Delivered()] * 3
    assert await is_stored(room, [BATCH[0].input_id, BATCH[1].input_id])


@ends_that_can_be(Case.REFUSING_ONE)
async def test_what_is_refused_takes_nothing_along(room: Room) -> None:
    refused = BATCH[1].input_id
    destination = room.open()
    async with room.end.refusing_one(refused):
        outcomes = await deliver(destination)
    assert [type(each) for each in outcomes] == [Delivered, Rejected, Delivered]
    assert await is_stored(room, [each for each in IDS if each != refused])


@ends_that_can_be(Case.THROTTLING)
async def test_throttled_means_later(room: Room) -> None:
    destination = room.open()
    async with room.end.throttling():
        reasons = {each.reason for each in await deliver(destination) if isinstance(each, Retry)}
    assert reasons == {"throttled"}
    assert await deliver(destination) == [Delivered()] * 3
    assert await is_stored(room, IDS)


@ends_that_can_be(Case.FAILING)
async def test_what_may_pass_is_tried_again(room: Room) -> None:
    destination = room.open()
    async with room.end.failing():
        outcomes = await deliver(destination)
    assert [type(each) for each in outcomes] == [Retry] * 3
    assert await deliver(destination) == [Delivered()] * 3
    assert await is_stored(room, IDS)


@ends_that_can_be(Case.REFUSING)
async def test_what_will_not_pass_is_not_tried_again(room: Room) -> None:
    destination = room.open()
    async with room.end.refusing():
        outcomes = await deliver(destination)
    assert [type(each) for each in outcomes] == [Rejected] * 3
    assert all(each.reason and each.detail for each in outcomes if isinstance(each, Rejected))
    assert await room.end.stored() == []


@ends_that_can_be(Case.LOCKED_OUT)
async def test_wrong_credentials_are_final_and_not_told(room: Room) -> None:
    async with room.end.locked_out():
        outcomes = await deliver(room.open())
    assert [type(each) for each in outcomes] == [Rejected] * 3
    assert {each.reason for each in outcomes if isinstance(each, Rejected)} <= {
        "key_unknown",
        "key_invalid",
        "forbidden",
    }
    assert not room.end.secret or room.end.secret not in repr(outcomes)
    assert await room.end.stored() == []


@ends_that_can_be(Case.HANGING)
async def test_a_hang_ends(room: Room) -> None:
    destination = room.open(**room.end.impatience)
    async with room.end.hanging():
        outcomes = await deliver(destination)
    assert {each.reason for each in outcomes if isinstance(each, Retry)} == {"timeout"}
    assert [type(each) for each in outcomes] == [Retry] * 3
    assert await deliver(room.open()) == [Delivered()] * 3
    assert await is_stored(room, IDS)


@ends_that_can_be(Case.TOO_SMALL)
async def test_what_is_too_large_takes_nothing_along(room: Room) -> None:
    async with room.end.too_small() as large:
        outcomes = await deliver(room.open(), (BATCH[0], _large(large), BATCH[2]))
    assert [type(each) for each in outcomes] == [Delivered, Rejected, Delivered]
    assert {each.reason for each in outcomes if isinstance(each, Rejected)} == {"too_large"}
    assert await is_stored(room, [BATCH[0].input_id, BATCH[2].input_id])


def _large(data: Data) -> Parcel:
    return parcel("large", data)


@ends_that_can_be(Case.GOING_AWAY)
async def test_what_was_lost_on_the_way_arrives_in_the_end(room: Room) -> None:
    destination = room.open()
    async with room.end.going_away():
        outcomes = await deliver(destination)
    lost = [sent for sent, outcome in zip(BATCH, outcomes, strict=True) if isinstance(outcome, Retry)]
    assert lost
    assert not any(isinstance(outcome, Rejected) for outcome in outcomes)
    assert await deliver(destination, lost) == [Delivered()] * len(lost)
    assert await is_stored(room, IDS)
