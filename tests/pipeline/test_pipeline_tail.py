"""Whoever listens hears each exchange with its verdicts and nothing more, and intake does not notice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from support.exchanges import payload_of, predict
from support.policies import below, collector, plan

from sidecar.capture.arrival import Arrival, ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured
from sidecar.collector import RedactRule, Workflow
from sidecar.data import Data
from sidecar.errors import CapacityError, TransientError
from sidecar.events import Events
from sidecar.pipeline.intake import Intake
from sidecar.pipeline.plan import Plan
from sidecar.pipeline.tail import MOST_LISTENERS, MOST_WAITING, Ended, Listener, Tail, Wanted
from sidecar.queue.jobs import JobQueue
from sidecar.workflow.run import Dropped, Filtered, Kept

READER = ArrivalReader(Callers("x-caller-id", {}), ("x-note",))
UNSURE_ONLY = Workflow("unsure-only", (below("unsure", 0.6),))
CAPTURED = "captured-text"


class NoReceipts:
    def acknowledge(self, what: str, count: int = 1) -> None: ...


def arrival(caller: str = "alice", *, status: int = 200) -> Arrival:
    headers = {"X-Caller-Id": caller, "X-Note": CAPTURED}
    given = {"instances": [[CAPTURED], [CAPTURED]]}
    answer = {"predictions": [[0.9, 0.1], [0.5, 0.5]]}
    sent = predict("/v1/models/digits/versions/3:predict", given, answer, status=status, headers=headers)
    read = READER.read(payload_of(sent))
    if read is None:
        raise ValueError("not a predict call")
    return read


async def hear(listener: Listener) -> tuple[int, list[Any]]:
    news = await listener.next()
    assert news is not None
    return news[0], [orjson.loads(event) for event in news[1]]


async def take_in(jobs: JobQueue, events: Events, tail: Tail, now: Plan, *arrivals: Arrival) -> None:
    queue: KeyedQueue[Captured] = KeyedQueue(10**9)
    for each in arrivals:
        queue.put(each.asked.key, Captured(each, NoReceipts()), each.size_bytes)
    queue.close()

    async def ask(_request: object) -> Data:
        raise AssertionError("no model is to be asked")

    decode = decode_arrival
    intake = Intake(
        queue, lambda: now, lambda each: decode(each.arrival), jobs.record, jobs.paid, ask, events, tail=tail
    )
    await intake.run()
    await intake.stop()


async def test_an_exchange_is_told_once_with_every_verdict_and_no_body(jobs: JobQueue, events: Events) -> None:
    tail = Tail()
    listener = tail.listen(Wanted())
    rule = RedactRule(mask="unreadable$")
    now = plan(
        [
            collector("all", pre_queue_random_sample=1.0),
            collector("unsure", pre_queue_workflow_id="unsure-only"),
            collector("bobs", pre_queue_random_sample=1.0, redact=(rule,)),
        ],
        UNSURE_ONLY,
    )
    await take_in(jobs, events, tail, now, arrival())
    missed, (event,) = await hear(listener)
    verdicts = {(v["collector"], v["verdict"], v["reason"]): v["inputs"] for v in event.pop("verdicts")}
    assert verdicts == {
        ("all", "kept", ""): 2,
        ("unsure", "kept", ""): 1,
        ("unsure", "filtered", "pre_queue"): 1,
        ("bobs", "kept", ""): 2,
    }
    assert (missed, event) == (
        0,
        {
            "exchange": bytes(range(16)).hex(),
            "at": "2023-11-14T22:13:20.000000Z",
            "caller": "alice",
            "model": "digits",
            "version": "3",
            "status": 200,
            "latency_ms": 12.5,
        },
    )


async def test_what_nobody_wants_is_told_too_once_it_is_decoded(jobs: JobQueue, events: Events) -> None:
    tail = Tail()
    listener = tail.listen(Wanted())
    now = plan([collector("few", pre_queue_random_sample=1.0, sample_exchanges=1e-9)])
    await take_in(jobs, events, tail, now, arrival())
    assert (await hear(listener))[1][0]["verdicts"] == []


async def test_a_fault_of_the_tail_costs_no_input(jobs: JobQueue, events: Events, monkeypatch: Any) -> None:
    tail = Tail()
    tail.listen(Wanted())

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(tail, "tell", fail)
    await take_in(jobs, events, tail, plan([collector(pre_queue_random_sample=1.0)]), arrival())
    assert len(await jobs.lease(10, 60)) == 2
    assert events.counters.get("sidecar_capture_failures_total", where="tail") == 1


@pytest.mark.parametrize(
    ("rules", "caller", "version"),
    [
        ([], "alice", "3"),
        ([RedactRule(remove="metadata.caller")], "", "3"),
        ([RedactRule(mask="ali"), RedactRule(mask="^3$", to="n")], "[redacted]ce", "n"),
        ([RedactRule(remove="metadata.caller"), RedactRule(mask="3")], "", "[redacted]"),
    ],
)
async def test_what_one_of_the_models_collectors_takes_out_is_not_told(
    rules: Sequence[RedactRule], caller: str, version: str
) -> None:
    tail = Tail()
    listener, by_name = tail.listen(Wanted()), tail.listen(Wanted(caller="alice"))
    each_its_own = [collector(f"c{n}", redact=(rule,), pre_queue_random_sample=1.0) for n, rule in enumerate(rules)]
    other = collector("other", "words", redact=(RedactRule(remove="metadata"),), pre_queue_random_sample=1.0)
    tail.tell(plan([*each_its_own, other]), arrival(), "3", ())
    _, (event,) = await hear(listener)
    assert (event["caller"], event["version"]) == (caller, version)
    assert CAPTURED not in str(event)
    tail.close()
    assert (await by_name.next() is None) is (caller != "alice")


@pytest.mark.parametrize(
    ("wanted", "is_told"),
    [
        (Wanted(), True),
        (Wanted("alice", "digits", "kept"), True),
        (Wanted(collector="dropped"), True),
        (Wanted(caller="bob"), False),
        (Wanted(model="words"), False),
        (Wanted(collector="other"), False),
    ],
)
async def test_who_listens_says_to_what(wanted: Wanted, is_told: bool) -> None:
    tail = Tail()
    listener = tail.listen(wanted)
    ends: list[Ended] = [("kept", Kept(Data())), ("dropped", Dropped("no_output")), ("kept", Filtered("n"))]
    tail.tell(plan([]), arrival(), "", ends)
    tail.tell(
        plan([]), arrival("carol"), "", [("other", Filtered("n")), ("kept", Filtered("n")), ("dropped", Filtered("n"))]
    )
    listener.put(b'{"caller": "end"}')
    _, events = await hear(listener)
    assert ("alice" in [event["caller"] for event in events]) is is_told


async def test_a_slow_listener_misses_the_oldest_and_hears_how_many() -> None:
    tail = Tail()
    slow, quick = tail.listen(Wanted()), tail.listen(Wanted())
    for number in range(MOST_WAITING + 7):
        tail.tell(plan([]), arrival(f"caller-{number}"), "", ())
        if number == 0:
            assert (await hear(quick))[0] == 0
    missed, events = await hear(slow)
    assert (missed, len(events), events[0]["caller"]) == (7, MOST_WAITING, "caller-7")
    missed, events = await hear(quick)
    assert (missed, len(events)) == (6, MOST_WAITING)
    tail.tell(plan([]), arrival("after"), "", ())
    assert [event["caller"] for event in (await hear(slow))[1]] == ["after"]


async def test_listeners_are_bounded_and_hear_the_end() -> None:
    tail = Tail()
    listeners = [tail.listen(Wanted()) for _ in range(MOST_LISTENERS)]
    with pytest.raises(CapacityError):
        tail.listen(Wanted())
    assert tail.is_heard
    for listener in listeners[1:]:
        tail.leave(listener)
    tail.close()
    assert [await listeners[0].next() for _ in range(2)] == [None, None]
    tail.leave(listeners[0])
    tail.leave(listeners[0])
    assert not tail.is_heard
    with pytest.raises(TransientError):
        tail.listen(Wanted())
