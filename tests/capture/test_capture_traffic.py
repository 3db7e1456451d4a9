"""What passes, counted by source: bounded, and an hour long."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from support.clock import FakeClock
from support.exchanges import payload_of, predict

from sidecar.capture import traffic
from sidecar.capture.arrival import Arrival, ArrivalReader
from sidecar.capture.caller import Callers
from sidecar.capture.traffic import Source, Traffic, passing_to_json
from sidecar.frame import Want, build_index
from sidecar.passing import ModelName

READER = ArrivalReader(Callers("X-Caller-Id", {}), ())


def as_it_is(source: Source) -> Source:
    return source


class Input(NamedTuple):
    collector: str
    caller: str
    model: str = "digits"
    version: str = ""


def arrival(caller: str, status: int = 200, *, has_answer: bool = True, at: FakeClock | None = None) -> Arrival:
    headers = {"X-Caller-Id": caller}
    target = "/v1/models/digits:predict"
    exchange = predict(target, {"instances": [1]}, {}, status=status, headers=headers, has_answer=has_answer)
    found = READER.read(payload_of(exchange))
    assert found is not None
    return found._replace(started_at=(at or FakeClock()).now())


def test_calls_are_counted_by_source_with_their_latency_and_what_was_kept() -> None:
    passing = Traffic(FakeClock())
    for each in (arrival("alice"), arrival("alice", 500), arrival("alice", has_answer=False), arrival("bob")):
        passing.see(each)
    passing.kept(
        [Input("c", "alice"), Input("c", "bob")], {("c", "filtered", "pre_queue"): 5, ("d", "dropped", "x"): 1}
    )
    told = passing.to_json(["c", "unknown"], as_it_is)
    alice, bob = told["sources"]
    assert (alice["caller"], alice["model"], alice["exchanges"], alice["failed"], alice["kept"]) == (
        "alice", "digits", 3, 2, 1,
    )  # fmt: skip
    assert (bob["exchanges"], bob["failed"], bob["kept"]) == (1, 0, 1)
    assert alice["latency_ms"]["p50"] == pytest.approx(12.5, rel=0.1)
    assert list(told["collectors"]) == ["c"]
    assert (told["collectors"]["c"]["matched"][-1], told["collectors"]["c"]["kept"][-1]) == (7, 2)


def test_a_minute_is_forgotten_after_an_hour() -> None:
    clock = FakeClock()
    passing = Traffic(clock)
    passing.see(arrival("alice", at=clock))
    clock.advance(60 * 10)
    passing.see(arrival("alice", at=clock))
    assert passing.to_json([], as_it_is)["sources"][0]["minutes"][-11:] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    clock.advance(60 * 50)
    assert sum(passing.to_json([], as_it_is)["sources"][0]["minutes"]) == 1
    clock.advance(60 * 10_000)
    assert sum(passing.to_json([], as_it_is)["sources"][0]["minutes"]) == 0


def test_more_sources_than_are_kept_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "MOST_SOURCES", 2)
    passing = Traffic(FakeClock())
    for caller in ("a", "b", "c", "d", "a"):
        passing.see(arrival(caller))
    counts = {each["caller"]: each["exchanges"] for each in passing.to_json([], as_it_is)["sources"]}
    assert counts == {"a": 2, "b": 1, "": 2}


def test_sources_that_are_shown_alike_are_counted_together() -> None:
    clock = FakeClock()
    passing = Traffic(clock)
    passing.see(arrival("alice", at=clock))
    clock.advance(120)
    passing.see(arrival("bob", 500, at=clock))
    (together,) = passing.to_json([], lambda source: ("", *source[1:]))["sources"]
    assert (together["exchanges"], together["failed"], together["minutes"][-3:]) == (2, 1, [1, 0, 1])
    assert {each["caller"] for each in passing.to_json([], as_it_is)["sources"]} == {"alice", "bob"}


def test_a_model_that_passes_is_collected_when_a_collector_may_want_one_of_its_calls() -> None:
    collected = build_index([Want("digits", "2", "alice"), Want("letters")])
    names = [ModelName("digits"), ModelName("digits", "1"), ModelName("digits", "2"), ModelName("letters", "1")]
    found = passing_to_json([*names, ModelName("other")], collected, as_it_is)
    assert [each["collected"] for each in found] == [True, False, True, True, False]
    assert found[1] == {"model": "digits", "version": "1", "collected": False}


def test_models_that_are_shown_alike_are_one() -> None:
    names = [ModelName("digits", "ann@example.org"), ModelName("digits", "bob@example.org")]
    redacted = passing_to_json(
        names, build_index([Want("digits", "bob@example.org")]), lambda source: (*source[:2], "[email]")
    )
    assert redacted == [{"model": "digits", "version": "[email]", "collected": True}]
