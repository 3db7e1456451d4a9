"""A recording keeps the newest within its bounds, wants nothing once it has ended, and gives out what may be known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.exchanges import payload_of, predict
from support.policies import collector, plan
from support.records import ARRIVALS

from sidecar.backtest.recorder import Recorder, Wish, with_want
from sidecar.capture.arrival import Arrival, decode_arrival
from sidecar.collector import Collector, RedactRule
from sidecar.data import Text
from sidecar.errors import ConflictError
from sidecar.frame import Want
from sidecar.kit.ids import OrderedIds, fraction_of_id

IDS = OrderedIds()


def arrival(caller: str = "alice", model: str = "digits", version: str = "1", body: object = None) -> Arrival:
    request = {"instances": ["zed@example.com"]} if body is None else body
    target = f"/v1/models/{model}/versions/{version}:predict"
    exchange = predict(target, request, {"predictions": [[1.0]]}, headers={"X-Caller-Id": caller})
    found = ARRIVALS.read(payload_of(exchange._replace(id=IDS())))
    assert found is not None
    return found


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.stop()


def see(recorder: Recorder, *arrivals: Arrival) -> list[bytes]:
    """The ids of what is kept after these."""
    for each in arrivals:
        recorder.see(each, decode_arrival(each))
    return [each.id for each in recorder.exchanges() if each is not None]


async def test_the_newest_within_both_bounds_are_kept(recorder: Recorder) -> None:
    arrivals = [arrival() for _ in range(5)]
    assert see(recorder, *arrivals) == []
    recorder.start(Wish("digits", count=3))
    assert see(recorder, *arrivals) == [each.id for each in arrivals[2:]]
    assert [each and each.id for each in recorder.exchanges(2)] == [each.id for each in arrivals[3:]]
    status = recorder.status()
    assert (status["seen"], status["kept"], status["kept_bytes"]) == (5, 3, 3 * arrivals[0].size_bytes)
    recorder.stop()
    recorder.start(Wish("digits", size_bytes=2 * arrivals[0].size_bytes))
    assert see(recorder, *arrivals) == [each.id for each in arrivals[3:]]


async def test_only_what_was_asked_for_is_kept(recorder: Recorder) -> None:
    recorder.start(Wish("digits", version="1", caller="alice", sample_exchanges=0.5))
    drawn = [arrival() for _ in range(40)]
    sampled = [each.id for each in drawn if fraction_of_id(each.id) < 0.5]
    assert 0 < len(sampled) < 40
    others = [arrival(**other) for other in ({"caller": "bob"}, {"model": "m"}, {"version": "2"}) for _ in range(9)]
    assert see(recorder, *drawn, *others) == sampled
    assert next(each.sample_exchanges for each in recorder.exchanges() if each) == 0.5


async def test_the_relays_are_told_what_it_wants_until_it_ends(recorder: Recorder) -> None:
    told: list[Want | None] = []
    over = asyncio.Event()

    def tell() -> None:
        told.append(recorder.want)
        if recorder.want is None:
            over.set()

    recorder.on_change = tell
    recorder.start(Wish("m", caller="zoe", seconds=0.001))
    with pytest.raises(ConflictError, match="is there already"):
        recorder.start(Wish("other"))
    await asyncio.wait_for(over.wait(), 30)
    assert told == [Want("m", "", "zoe", 1.0), None]
    assert see(recorder, arrival("zoe", "m")) == []
    recorder.stop()
    assert len(told) == 2

    made = plan([collector()])
    assert with_want(made, None) is made
    wanting = with_want(made, told[0])
    assert wanting.index.fraction("m", None, "zoe") == 1.0
    assert wanting.index.fraction("m", None, "bob") == made.index.fraction("m", None, "zoe") == 0.0
    assert wanting.index.fraction("digits", None, "bob") == 1.0


async def test_without_a_model_all_are_kept_each_by_the_rules_of_its_own_collectors(recorder: Recorder) -> None:
    known = [collector("one", "digits", redact=(RedactRule(detect=("email",)),))]
    known.append(collector("other", "m", redact=(RedactRule(mask="zed"),)))
    recorder.collectors = lambda: known
    recorder.start(Wish(caller="alice", count=3))
    assert recorder.want == Want("", "", "alice", 1.0)
    with pytest.raises(ConflictError, match="a recording of all models is there already"):
        recorder.start(Wish("m"))
    see(recorder, *(arrival(model=model) for model in ("gone", "digits", "m", "third")), arrival("bob"))
    assert [each and (each.call.model, each.call.inputs[0].text) for each in recorder.exchanges()] == [
        ("digits", Text("[email]")),
        ("m", Text("[redacted]@example.com")),
        ("third", Text("zed@example.com")),
    ]
    wanting = with_want(plan([collector()]), recorder.want).index
    assert (wanting.fraction("third", None, "alice"), wanting.fraction("third", None, "bob")) == (1.0, 0.0)


async def test_the_rules_of_every_collector_of_its_model_hold_for_what_is_given_out(recorder: Recorder) -> None:
    rule = RedactRule(detect=("email",))
    known: list[Collector] = [collector("other", "m", redact=(rule,))]
    recorder.collectors = lambda: known
    recorder.start(Wish("digits", redact=(RedactRule(mask="ali"),)))
    see(recorder, arrival())
    (found,) = recorder.exchanges()
    assert found is not None
    assert found.caller == "[redacted]ce" == found.call.inputs[0].metadata["caller"]
    assert found.call.inputs[0].text == Text("zed@example.com")
    known.append(collector(redact=(rule,)))
    (found,) = recorder.exchanges()
    assert found is not None
    assert found.call.inputs[0].text == Text("[email]")
    see(recorder, arrival(body=b"\xff zed@example.com"))
    assert [each is None for each in recorder.exchanges()] == [False, True]
    known.append(collector("broken", redact=(RedactRule(detect=("gone",)),)))
    assert list(recorder.exchanges()) == [None, None]
