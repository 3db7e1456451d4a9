"""What the engine gets through: items a second of one processor, without sockets: `PYTHONPATH=. python
tests/bench/engine_rates.py`.

An item is a predict call of 1.4 kB with one input; its answer has ten probabilities, a threshold that the model is
below of and a sample of one in ten look at them. Counted is the process's own time on processors, all threads, best of
several rounds: what others do on the machine only ever adds to it. A function for each rate; `all_rates` calls them.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson

from sidecar import frame
from sidecar.app.loop import run_loop
from sidecar.capture.arrival import Arrival, ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured
from sidecar.collector import Collector, Node, NodeModel, Source, Workflow
from sidecar.data import Data
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.clock import SystemClock
from sidecar.kit.ids import OrderedIds
from sidecar.pipeline.candidate import judge
from sidecar.pipeline.intake import Intake
from sidecar.pipeline.plan import Plan, make_plan
from sidecar.queue.jobs import JobQueue
from sidecar.store.database import Database, sqlite_url
from sidecar.workflow.run import Item, ModelRequest

ITEMS = 2000
ROUNDS = 15
PROBABILITIES = [0.05, 0.31, 0.02, 0.42, 0.03, 0.04, 0.05, 0.03, 0.02, 0.03]
_READER = ArrivalReader(Callers("x-caller-id", {}), ("content-type",))
_IDS = OrderedIds()


class Rate(NamedTuple):
    """One rate, by the best of its rounds."""

    name: str
    items: int
    processor_seconds: float

    @property
    def per_second(self) -> float:
        """Items a second of one processor."""
        return self.items / self.processor_seconds


def judging(keep_fraction: float = 0.1) -> Rate:
    """Match, threshold and sample; bodies read and outputs made before."""
    now = _plan(keep_fraction)
    known = [(arrival, decode_arrival(arrival)) for arrival in _arrivals(_openinference)]
    for _, call in known:
        tuple(call.outputs)

    def work() -> None:
        for arrival, call in known:
            watching = now.watching(call.model, call.version, arrival.asked.caller, call.user, call.app)
            for policy in watching.policies:
                judge(policy, Item(arrival.id, 0, policy.key, call.inputs, call.outputs))

    return _best(f"match, threshold, sample {keep_fraction:.0%}", work)


def judging_from_bytes(keep_fraction: float = 0.1) -> Rate:
    """The same, with both bodies read and what is looked at made."""
    now = _plan(keep_fraction)
    arrivals = _arrivals(_openinference)

    def work() -> None:
        for arrival in arrivals:
            call = decode_arrival(arrival)
            watching = now.watching(call.model, call.version, arrival.asked.caller, call.user, call.app)
            for policy in watching.policies:
                judge(policy, Item(arrival.id, 0, policy.key, call.inputs, call.outputs))

    return _best(f"the same, from bytes, {keep_fraction:.0%}", work)


def intake_to_queue(keep_fraction: float = 0.1) -> Rate:
    """Frames, cut, queued by key, matched and judged; what is kept on the disk, the others counted there."""
    return run_loop(_intake_to_queue(keep_fraction))


def all_rates() -> list[Rate]:
    """Every rate, with a tenth kept and with all kept."""
    measured: Sequence[Callable[[float], Rate]] = (judging, judging_from_bytes, intake_to_queue)
    return [rate(keep_fraction) for rate in measured for keep_fraction in (0.1, 1.0)]


async def _intake_to_queue(keep_fraction: float) -> Rate:
    now, events = _plan(keep_fraction), Events(logs.configure("error"))
    stream = b"".join(_frames(_tensorflow))
    spent: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as name:
        async with Database(sqlite_url(Path(name))) as database:
            jobs = JobQueue(database, SystemClock(), events, "bench")
            for _ in range(ROUNDS):
                began = time.process_time()
                await _take_in(stream, now, jobs, events)
                spent.append(time.process_time() - began)
                await jobs.drop_pending("bench")
    return Rate(f"frames to the queue on disk, {keep_fraction:.0%}", ITEMS, min(spent))


class _NoReceipts:
    """Where receipts would go."""

    def acknowledge(self, what: str, count: int = 1) -> None: ...


async def _take_in(stream: bytes, now: Plan, jobs: JobQueue, events: Events) -> None:
    queue: KeyedQueue[Captured] = KeyedQueue(1 << 30)
    for _, payload in frame.FrameReader().feed(stream):
        arrival = _READER.read(_IDS() + payload[16:])  # a job of an exchange that is known is no job
        if arrival is not None:
            queue.put(arrival.asked.key, Captured(arrival, _NoReceipts()), arrival.size_bytes)
    queue.close()
    intake = Intake(queue, lambda: now, lambda each: decode_arrival(each.arrival), jobs.record, jobs.paid, _ask, events)
    await intake.run()
    await intake.stop()


async def _ask(_request: ModelRequest) -> Data:
    raise AssertionError("no node asks a model")


def _plan(keep_fraction: float) -> Plan:
    below = NodeModel(
        "below", "concept-thresholder", params={"concept_threshold_type": "LESS_THAN", "require": "all"},
        concepts=(("*", 0.6),),
    )  # fmt: skip
    some = NodeModel("some", "random-sample", params={"keep_fraction": keep_fraction})
    workflow = Workflow("unsure", (Node("below", below), Node("some", some, ("below",))))
    collector = Collector("bench", Source("digits"), pre_queue_workflow_id="unsure")
    return make_plan([collector], {(workflow.user_id, workflow.app_id, workflow.id): workflow}, ())


class _Messages(Protocol):
    def __call__(self) -> tuple[str, object, object]:
        """Path, request and answer."""


def _tensorflow() -> tuple[str, object, object]:
    return "/v1/models/digits:predict", {"instances": [_numbers(186)]}, {"predictions": [PROBABILITIES]}


def _openinference() -> tuple[str, object, object]:
    """The answer is as long as the request: beside the probabilities it has what the last layer saw."""

    def tensor(name: str, data: Sequence[float]) -> dict[str, object]:
        return {"name": name, "shape": [1, len(data)], "datatype": "FP32", "data": data}

    outputs = [tensor("probabilities", PROBABILITIES), tensor("features", _numbers(160))]
    return "/v2/models/digits/infer", {"inputs": [tensor("x", _numbers(186))]}, {"outputs": outputs}


def _numbers(count: int) -> list[float]:
    numbers = random.Random(0)
    return [round(numbers.uniform(0.1, 1), 4) for _ in range(count)]


def _frames(messages: _Messages, count: int = ITEMS) -> Iterator[bytes]:
    path, request, answer = messages()
    body, answered = orjson.dumps(request), orjson.dumps(answer)
    head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nX-Caller-Id: alice\r\n\r\n".encode()
    pieces = (head, body, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", answered)
    flags = frame.HAS_RESPONSE | frame.RESPONSE_IS_WHOLE
    a, b, c, d = map(len, pieces)
    for _ in range(count):
        yield b"".join(frame.exchange_frames([(_IDS(), 0.0, 0.001, flags, a, b, c, d, pieces)], time.time()))


def _arrivals(messages: _Messages, count: int = ITEMS) -> list[Arrival]:
    frames = frame.FrameReader().feed(b"".join(_frames(messages, count)))
    return [arrival for _, payload in frames if (arrival := _READER.read(payload)) is not None]


def _best(name: str, work: Callable[[], None]) -> Rate:
    spent: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return Rate(name, ITEMS, min(spent))


if __name__ == "__main__":
    for rate in all_rates():
        print(f"{rate.name:<40}{rate.per_second:>10,.0f} items/s/core {1e6 / rate.per_second:>8.1f} µs")
