"""Intake on a real queue and a real database: every exchange gets one receipt, and the ledger says why."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from support.exchanges import payload_of
from support.faults import rename
from support.policies import below, collector, node, plan

from sidecar.capture.arrival import ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured
from sidecar.collector import RedactRule, Status, Workflow
from sidecar.data import Concept, Data
from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.exchange import Exchange, Message
from sidecar.kit.ids import OrderedIds, fraction_of_id
from sidecar.pipeline.intake import Intake
from sidecar.pipeline.plan import Plan
from sidecar.pipeline.tail import Tail
from sidecar.protocol.call import Call
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import read_ledger
from sidecar.queue.values import Wanted
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest

READER = ArrivalReader(Callers("x-caller-id", {}), ())
IDS = OrderedIds()
SURE = [0.9, 0.1]
UNSURE = [0.5, 0.5]


class Receipts(Counter[str]):
    """What a relay would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.first = asyncio.Event()

    def acknowledge(self, what: str, count: int = 1) -> None:
        self[what] += count
        self.first.set()


def exchange(predictions: Sequence[Any] | None, model: str = "digits", status: int = 200) -> Exchange:
    count = 1 if predictions is None else len(predictions)
    head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nX-Caller-Id: alice\r\n\r\n".encode()
    request = Message(head, orjson.dumps({"instances": [[number] for number in range(count)]}))
    answer = Message(f"HTTP/1.1 {status} OK\r\n\r\n".encode(), orjson.dumps({"predictions": predictions}))
    return Exchange(IDS(), 1_700_000_000.0, 0.01, request, None if predictions is None else answer)


async def never(_request: ModelRequest) -> Data:
    raise AssertionError("no model is to be asked")


class Room:
    """An intake with what it stands on; `take` runs it over exchanges to the end."""

    def __init__(self, jobs: JobQueue, database: Database, events: Events) -> None:
        self.jobs = jobs
        self.database = database
        self.events = events
        self.receipts = Receipts()
        self.ask: Callable[[ModelRequest], Any] = never
        self.decode: Callable[[Captured], Call] = lambda captured: decode_arrival(captured.arrival)
        self.tail = Tail()

    async def take(self, now: Plan, *exchanges: Exchange) -> dict[str, Any]:
        queue: KeyedQueue[Captured] = KeyedQueue(10**9)
        intake = Intake(
            queue, lambda: now, self.decode, self.jobs.record, self.jobs.paid, self.ask, self.events, tail=self.tail
        )
        for each in exchanges:
            arrival = READER.read(payload_of(each))
            if arrival is None:
                raise ValueError("not a predict call")
            queue.put(arrival.asked.key, Captured(arrival, self.receipts), each.size_bytes)
        queue.close()
        await intake.run()
        await intake.stop()
        assert self.receipts.total() == len(exchanges)
        ledger = await read_ledger(self.database)
        assert ledger.holds
        return ledger.to_json()


@pytest.fixture
def room(jobs: JobQueue, database: Database, events: Events) -> Room:
    return Room(jobs, database, events)


UNSURE_ONLY = Workflow("unsure-only", (below("unsure", 0.6),))


async def test_inputs_are_judged_one_by_one_and_the_receipt_is_for_the_exchange(room: Room) -> None:
    now = plan([collector(pre_queue_workflow_id="unsure-only")], UNSURE_ONLY)
    ledger = await room.take(now, exchange([SURE, UNSURE, UNSURE]), exchange([SURE]), exchange([UNSURE], "other"))
    assert room.receipts == {"taken": 2, "unwanted": 1}
    assert (ledger["total"]["filtered"], ledger["total"]["pending"]) == (2, 2)
    jobs = await room.jobs.lease(10, 60)
    assert [(job.input_index, job.caller, job.model) for job in jobs] == [
        (1, "alice", "digits"),
        (2, "alice", "digits"),
    ]
    assert orjson.loads(jobs[0].output or b"")["concepts"][0]["value"] == 0.5
    assert orjson.loads(jobs[0].details)["latency_seconds"] == 0.01
    assert orjson.loads(jobs[0].details)["status"] == 200
    nodes = [{"id": "unsure", "kind": "concept-thresholder", "verdict": "passed", "concepts": 2}]
    traced = orjson.loads(jobs[0].details)["trace"]
    assert traced["workflow"] == "unsure-only"
    assert traced["nodes"] == [nodes[0] | {"top": {"id": "0", "value": 0.5}}]


async def test_two_collectors_judge_the_same_input_apart(room: Room) -> None:
    now = plan(
        [collector("all", pre_queue_random_sample=1.0), collector("few", pre_queue_workflow_id="unsure-only")],
        UNSURE_ONLY,
    )
    ledger = await room.take(now, exchange([SURE]))
    assert ledger["collectors"]["all"]["pending"] == 1
    assert ledger["collectors"]["few"]["filtered"] == 1


async def test_an_inactive_collector_matches_nothing(room: Room) -> None:
    now = plan([collector(pre_queue_random_sample=1.0, status=Status.COLLECTOR_INACTIVE)])
    ledger = await room.take(now, exchange([SURE]))
    assert room.receipts == {"unwanted": 1}
    assert ledger["total"]["matched"] == 0


async def test_a_missing_answer_drops_a_job_only_if_a_node_reads_it(room: Room) -> None:
    now = plan(
        [collector("all", pre_queue_random_sample=1.0), collector("few", pre_queue_workflow_id="unsure-only")],
        UNSURE_ONLY,
    )
    ledger = await room.take(now, exchange(None), exchange([SURE], status=500))
    assert ledger["collectors"]["all"]["pending"] == 2
    assert ledger["reasons"]["dropped"] == {"no_output": 2}


async def test_failures_are_kept_unless_the_collector_says_otherwise_and_counted_then(room: Room) -> None:
    now = plan(
        [
            collector("all", pre_queue_random_sample=1.0),
            collector("answered", pre_queue_random_sample=1.0, collect_failures=False),
            collector("few", pre_queue_workflow_id="unsure-only", collect_failures=False),
        ],
        UNSURE_ONLY,
    )
    ledger = await room.take(now, exchange(None), exchange([SURE], status=500), exchange([SURE, UNSURE]))
    assert {key: sums["pending"] for key, sums in ledger["collectors"].items()} == {"all": 4, "answered": 2, "few": 1}
    assert ledger["reasons"]["filtered"] == {"model_failed": 4, "pre_queue": 1}
    assert ledger["reasons"]["dropped"] == {}


async def test_a_failure_is_judged_by_what_was_redacted_too(room: Room) -> None:
    redact = (RedactRule(remove="metadata.status"),)
    kept = collector(pre_queue_random_sample=1.0, collect_failures=False, redact=redact)
    ledger = await room.take(plan([kept]), exchange([SURE], status=404), exchange([SURE]))
    assert ledger["reasons"]["filtered"] == {"model_failed": 1}
    assert ledger["total"]["pending"] == 1


async def test_no_model_is_asked_about_a_failure_that_is_left_out(room: Room) -> None:
    second = Workflow("second", (node("second"),))
    now = plan([collector(pre_queue_workflow_id="second", collect_failures=False)], second, models=["second"])
    ledger = await room.take(now, exchange(None))
    assert ledger["reasons"]["filtered"] == {"model_failed": 1}


async def test_samples_are_of_inputs_and_of_exchanges(room: Room) -> None:
    now = plan([collector("inputs", pre_queue_random_sample=0.3), collector("exchanges", sample_exchanges=0.3)])
    sent = [exchange([SURE]) for _ in range(1000)]
    ledger = await room.take(now, *sent)
    inputs, exchanges = ledger["collectors"]["inputs"], ledger["collectors"]["exchanges"]
    assert inputs["matched"] == 1000
    assert inputs["pending"] == pytest.approx(300, abs=75)
    assert exchanges["matched"] == exchanges["pending"] == sum(fraction_of_id(each.id) < 0.3 for each in sent)


async def test_a_fault_of_ours_in_one_exchange_loses_that_one_under_a_name(room: Room) -> None:
    poisoned = exchange([UNSURE])

    def decode(captured: Captured) -> Call:
        if captured.arrival.id == poisoned.id:
            raise ZeroDivisionError
        return decode_arrival(captured.arrival)

    room.decode = decode
    ledger = await room.take(plan([collector(pre_queue_random_sample=1.0)]), exchange([SURE]), poisoned)
    assert room.receipts == {"taken": 1, "lost.capture_failed": 1}
    assert ledger["total"]["pending"] == 1


ASKING = Workflow("asking", (node("judge"), dataclasses.replace(below("unsure", 0.6), inputs=("judge",))))


async def test_a_model_before_the_queue_is_asked_once_beside_the_others(room: Room) -> None:
    asked: list[ModelRequest] = []

    async def ask(request: ModelRequest) -> Data:
        asked.append(request)
        return Data(concepts=(Concept("0", 0.2),))

    room.ask = ask
    now = plan([collector(pre_queue_workflow_id="asking")], ASKING, models=["judge"])
    ledger = await room.take(now, exchange([SURE, SURE]), exchange([SURE], "other"))
    assert [request.model_id for request in asked] == ["judge", "judge"]
    assert room.receipts == {"taken": 1, "unwanted": 1}
    assert ledger["total"]["pending"] == 2


async def test_a_model_that_is_away_drops_under_its_name_and_holds_nobody_up(room: Room) -> None:
    may_answer = asyncio.Event()

    async def ask(_request: ModelRequest) -> Data:
        await may_answer.wait()
        raise TransientError("away")

    async def record(kept: Any, counts: Any, changes: Any = ()) -> bool:
        is_written = await recorded(kept, counts, changes)
        may_answer.set()
        return is_written

    recorded = room.jobs.record
    room.ask = ask
    room.jobs.record = record  # type: ignore[method-assign]
    now = plan(
        [collector("asks", pre_queue_workflow_id="asking"), collector("plain", "other", pre_queue_random_sample=1.0)],
        ASKING,
        models=["judge"],
    )
    ledger = await room.take(now, exchange([SURE]), exchange([SURE], "other"))
    assert ledger["reasons"]["dropped"] == {"model_unavailable": 1}
    assert ledger["collectors"]["plain"]["pending"] == 1


def test_a_collector_whose_workflow_cannot_run_stands_still_and_is_named() -> None:
    now = plan([collector(pre_queue_workflow_id="asking")], ASKING, models=[])
    assert now.policies == {}
    assert now.index.models == {}
    assert any("asking" in str(problem) and "stands still" in str(problem) for problem in now.problems)


async def test_every_exchange_gets_its_receipt_when_recording_meets_a_bug(room: Room) -> None:
    async def stumble(kept: Any, counts: Any, changes: Any = ()) -> bool:
        raise ZeroDivisionError(len(kept), len(counts))

    room.jobs.record = stumble  # type: ignore[method-assign]
    now = plan([collector(pre_queue_random_sample=1.0)])
    await room.take(now, exchange([SURE]), exchange([SURE, SURE]), exchange([SURE], "other"))
    assert room.receipts == {"lost.capture_failed": 2, "unwanted": 1}


async def test_an_input_that_cannot_be_written_costs_itself_alone(room: Room) -> None:
    def decode(captured: Captured) -> Call:
        call = decode_arrival(captured.arrival)
        first, *others = call.inputs
        return call._replace(inputs=(dataclasses.replace(first, metadata={"no JSON": object()}), *others))

    room.decode = decode
    ledger = await room.take(plan([collector(pre_queue_random_sample=1.0)]), exchange([SURE, SURE, SURE]))
    assert room.receipts == {"taken": 1}
    assert ledger["reasons"]["dropped"] == {"capture_failed": 1}
    assert ledger["total"]["pending"] == 2


async def test_small_bodies_of_many_inputs_are_written_a_few_at_a_time(room: Room) -> None:
    sizes: list[int] = []

    async def record(kept: Any, counts: Any, changes: Any = ()) -> bool:
        sizes.append(len(kept))
        return await recorded(kept, counts, changes)

    recorded = room.jobs.record
    room.jobs.record = record  # type: ignore[method-assign]
    now = plan([collector(pre_queue_random_sample=1.0)])
    ledger = await room.take(now, *(exchange([[0.1]] * 400) for _ in range(7)))
    assert sizes == [1200, 1200, 400]
    assert ledger["total"]["pending"] == 2800
    assert room.receipts == {"taken": 7}


async def test_a_model_that_is_away_is_asked_once_for_an_exchange(room: Room) -> None:
    asked: list[ModelRequest] = []

    async def ask(request: ModelRequest) -> Data:
        asked.append(request)
        raise TransientError("away")

    room.ask = ask
    now = plan([collector(pre_queue_workflow_id="asking")], ASKING, models=["judge"])
    ledger = await room.take(now, exchange([SURE] * 50))
    assert len(asked) == 1
    assert ledger["reasons"]["dropped"] == {"model_unavailable": 50}


async def test_no_receipt_is_given_while_the_counts_wait_for_the_disk(room: Room) -> None:
    now = plan([collector(pre_queue_random_sample=1.0)])
    queue: KeyedQueue[Captured] = KeyedQueue(10**9)
    intake = Intake(
        queue, lambda: now, room.decode, room.jobs.record, room.jobs.paid, room.ask, room.events
    )  # fmt: skip
    arrival = READER.read(payload_of(exchange([SURE, SURE])))
    assert arrival is not None
    queue.put(arrival.asked.key, Captured(arrival, room.receipts), 1)
    queue.close()
    await rename(room.database, "job", "gone")
    await intake.run()
    assert room.receipts.total() == 0
    assert room.jobs.owes
    await rename(room.database, "gone", "job")
    await room.jobs.retry_dead(Wanted(ids=[]))  # any write pays
    await room.receipts.first.wait()
    assert room.receipts == {"taken": 1}
    ledger = await read_ledger(room.database)
    assert ledger.reasons["dropped"] == {"store_failed": 2}
    await intake.stop()
