"""The quick way past the reader: the same frames and counts as the reader gives, for far fewer steps."""

from __future__ import annotations

import functools
import io
import itertools
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import FakeClock
from support.conversations import split, turns
from support.relay_end import answer, predict

from sidecar import frame
from sidecar.events import Events
from sidecar.frame import Index, Record, Want, build_index
from sidecar.kit import ids, logs
from sidecar.proxy import known
from sidecar.proxy.admit import Admission
from sidecar.proxy.capture import Capture
from sidecar.proxy.counts import Counts
from sidecar.proxy.known import KnownHeads
from sidecar.proxy.quick import QuickWatch
from sidecar.proxy.tap import PIECE_BYTES
from sidecar.proxy.watch import Watch

NOBODY, EVERYBODY = build_index([]), build_index([Want("digits"), Want("a"), Want("b")])
SAMPLED = build_index([Want("digits", sample=0.5), Want("a", sample=0.5)])
CALL, REPLY = predict(b"in"), answer(b"out")
K = TypeVar("K")
V = TypeVar("V")


class Kept:
    """An outlet that keeps the frames it is given."""

    def __init__(self, index: Index | None) -> None:
        self.index = index
        self.waiting_bytes = self.waiting_at_most_bytes = 0
        self.overflow_reason = "queue_full"
        self.refuses_for: str | None = None
        self.fault: Exception | None = None
        self.frames: list[bytes] = []

    def send(self, record: Record, size_bytes: int) -> str | None:
        if self.fault is not None:
            raise self.fault
        if self.refuses_for is None:
            self.frames += [b"".join(frame.exchange_frames([record], 0.0))]
            assert size_bytes == len(self.frames[-1])
        return self.refuses_for


class Silent(Kept):
    """An outlet that makes no call of its own."""

    def send(self, record: Record, size_bytes: int) -> str | None:
        return None


class Bench:
    """One connection that is watched."""

    def __init__(
        self, watch: type[Watch] = QuickWatch, index: Index | None = EVERYBODY, *, limit_bytes: int = 10_000
    ) -> None:
        self.outlet, self.counts, self.clock = Kept(index), Counts(), FakeClock(1000.0)
        self.log = io.StringIO()
        admission = Admission("x-caller-id")
        self.capture = Capture(
            admission, self.outlet, self.counts, self.clock, limit_bytes=limit_bytes, max_body_bytes=1000
        )
        self.capture.new_id = map(functools.partial(ids.digest, "id"), itertools.count()).__next__
        self.events = Events(logs.configure("debug", self.log))
        self.watch = watch(self.capture, self.events)

    def exchange(self, request: bytes = CALL, response: bytes = REPLY) -> None:
        self.watch.request_bytes(request)
        self.clock.advance(0.25)
        self.watch.response_bytes(response)

    def request_fin(self) -> None:
        self.watch.request_fin()

    def response_fin(self) -> None:
        self.watch.response_fin()

    def leave(self) -> None:
        self.watch.close("client_left")

    @property
    def seen(self) -> tuple[list[bytes], dict[str, int], int, int, bool, bool]:
        """All that can be told of the connection from outside."""
        counts, watch = self.counts, self.watch
        held_bytes = self.capture.held_bytes
        return self.outlet.frames, counts.as_dict(), counts.copying, held_bytes, watch.is_idle, watch.owes_answer


Step = Callable[[Bench], object]


def _said(pieces: list[bytes], *, by_client: bool) -> Step:
    def say(bench: Bench) -> None:
        hear = bench.watch.request_bytes if by_client else bench.watch.response_bytes
        for piece in pieces:
            hear(piece)

    return say


@st.composite
def _steps(draw: st.DrawFn) -> list[Step]:
    """What may happen on a connection; a few exchanges come again and again, mostly in one read each."""
    few = draw(st.lists(turns(), min_size=1, max_size=2))
    asked = st.sampled_from([CALL, CALL, predict(b"ni"), *(turn.request for turn in few)])
    answered = st.sampled_from([REPLY, REPLY, *(turn.interim + turn.response for turn in few)])
    whole = st.builds(functools.partial(operator.methodcaller, "exchange"), asked, answered)
    requests = asked.flatmap(split).map(functools.partial(_said, by_client=True))
    responses = answered.flatmap(split).map(functools.partial(_said, by_client=False))
    others = st.sampled_from(list(OTHERS.values()))
    return draw(st.lists(st.one_of(whole, whole, whole, requests, responses, others), max_size=16))


def _set(name: str, value: object) -> Step:
    return lambda bench: setattr(bench.outlet, name, value)


def _waiting(size_bytes: int) -> Step:
    def wait(bench: Bench) -> None:
        bench.outlet.waiting_bytes = bench.outlet.waiting_at_most_bytes = size_bytes

    return wait


def _twice(request: bytes = CALL, response: bytes = REPLY) -> Step:
    def exchange(bench: Bench) -> None:
        bench.exchange(request, response)
        bench.exchange(request, response)

    return exchange


OTHERS: dict[str, Step] = {
    "no index": _set("index", None),
    "nobody wants": _set("index", NOBODY),
    "everybody wants": _set("index", EVERYBODY),
    "a half is wanted": _set("index", SAMPLED),
    "no room for a request": _waiting(9_950),
    "no room for an answer": _waiting(9_800),
    "room": _waiting(0),
    "refused": _set("refuses_for", "engine_away"),
    "client ends": operator.methodcaller("request_fin"),
    "model ends": operator.methodcaller("response_fin"),
    "client leaves": operator.methodcaller("leave"),
    "two requests": _said([CALL + CALL], by_client=True),
    "a piece of a request": _said([CALL[:-1]], by_client=True),
    "two answers": _said([REPLY + REPLY], by_client=False),
    "a piece of an answer": _said([b"HTT"], by_client=False),
    "interim": _said([b"HTTP/1.1 100 Continue\r\n\r\n"], by_client=False),
    "large request": _twice(predict(bytes(1001))),
    "large answer": _twice(CALL, answer(bytes(1001))),
    "odd request": _twice(predict(headers=b"A : b\r\n")),
    "odd answer": _twice(CALL, answer(headers=b"A : b\r\n")),
    "HEAD": _twice(b"HEAD / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", answer(b"")),
    "no predict call": _twice(b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nin"),
}


def _see_the_same(*steps: Step) -> None:
    slow, quick = Bench(Watch), Bench(QuickWatch)
    for step in (*steps, Bench.leave):
        step(slow)
        step(quick)
        assert quick.seen == slow.seen
    assert quick.capture.held_bytes == 0


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("index", ["everybody wants", "nobody wants"])
def test_what_comes_between_two_exchanges_or_into_one_is_seen_the_same(name: str, index: str) -> None:
    other, ask, say = OTHERS[name], _said([CALL], by_client=True), _said([REPLY], by_client=False)
    _see_the_same(OTHERS[index], Bench.exchange, Bench.exchange, other, ask, say, Bench.exchange)
    _see_the_same(OTHERS[index], Bench.exchange, ask, other, say, Bench.exchange, Bench.exchange)


@settings(max_examples=300)
@given(_steps())
def test_with_and_without_it_the_same_is_seen(steps: list[Step]) -> None:
    _see_the_same(*steps)


def _unread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the reader must not be asked."""
    reader = bench.watch._reader
    assert reader is not None
    monkeypatch.delattr(type(reader), "request_bytes")
    monkeypatch.delattr(type(reader), "response_bytes")


@pytest.mark.parametrize("index", [NOBODY, SAMPLED, EVERYBODY], ids=["unwanted", "sampled", "wanted"])
def test_the_second_of_its_kind_is_not_read(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(index=index)
    bench.exchange()
    _unread(bench, monkeypatch)
    for body in (b"in", b"IN"):
        bench.exchange(predict(body), REPLY)
    assert bench.counts.seen == 3
    assert bench.counts.uncaptured["capture_failed"] == 0


def test_what_one_connection_has_read_another_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Bench()
    first.exchange()
    first.watch = QuickWatch(first.capture, first.events)
    _unread(first, monkeypatch)
    first.exchange()
    assert len(first.outlet.frames) == 2


def test_another_index_is_asked_anew() -> None:
    bench = Bench(index=NOBODY)
    for index in (NOBODY, EVERYBODY, NOBODY, EVERYBODY):
        bench.outlet.index = index
        bench.exchange()
        bench.exchange()
    assert (bench.counts.unwanted, len(bench.outlet.frames)) == (4, 4)


def test_a_head_request_is_never_known() -> None:
    """Its answer ends with its head, whatever length that tells."""
    bench = Bench()
    for _ in range(3):
        bench.exchange(b"HEAD / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert bench.watch.is_idle
    assert (bench.counts.seen, bench.counts.uncaptured["unreadable"]) == (3, 0)


def test_room_that_is_only_not_known_of_yet_is_found() -> None:
    bench = Bench()
    bench.exchange()
    bench.outlet.waiting_at_most_bytes = 10_000
    bench.exchange()
    assert len(bench.outlet.frames) == 2


def test_the_budget_holds() -> None:
    held = len(CALL) + len(REPLY) + 2 * PIECE_BYTES
    bench = Bench(limit_bytes=held)
    bench.exchange()
    bench.exchange()
    bench.capture.limit_bytes -= 1
    bench.exchange()
    bench.capture.limit_bytes = len(CALL)
    bench.exchange()
    assert (len(bench.outlet.frames), bench.counts.lost["queue_full"]) == (2, 2)


def _break(bench: Bench, where: str) -> None:
    def broken() -> bytes:
        raise MemoryError

    if where == "send":
        bench.outlet.fault = RuntimeError("a fault of ours")
    else:
        setattr(bench.capture, where, broken)


def test_an_admission_that_fails_is_counted_as_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(Admission, "fraction", lambda *_: 1 / 0)
    bench.exchange()
    assert (bench.counts.seen, bench.counts.lost["capture_failed"], bench.counts.open) == (1, 1, 0)
    assert bench.counts.uncaptured["capture_failed"] == 1


@pytest.mark.parametrize("where", ["new_id", "monotonic", "send"])
def test_a_fault_is_counted_once_and_the_rest_passes_unread(where: str) -> None:
    bench = Bench()
    bench.exchange()
    _break(bench, where)
    bench.exchange()
    bench.exchange()
    bench.watch.close("client_left")
    counts = bench.counts
    assert (counts.seen, counts.outstanding, counts.open) == (2, 0, 0)
    assert (counts.lost["capture_failed"], counts.uncaptured["capture_failed"]) == (1, 1)
    assert bench.capture.held_bytes == 0


def test_heads_that_never_come_again_take_no_more_room() -> None:
    heads = KnownHeads(Admission("x-caller-id"), 1000)
    for number in range(3 * known.MOST_HEADS):
        for _ in range(2):
            assert heads.request(predict(headers=b"X-Request-Id: %d\r\n" % number), NOBODY) is not None
            assert heads.response(answer(headers=b"Date: %d\r\n" % number)) is not None
    assert max(len(heads._requests), len(heads._responses)) <= known.MOST_HEADS


def _calls(act: Callable[[], object]) -> int:
    """How many functions are called in `act`, ours and the system's."""
    count = 0

    def counting(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(("index", "most"), [(NOBODY, 6), (EVERYBODY, 13)], ids=["unwanted", "wanted"])
def test_an_exchange_takes_few_calls(index: Index, most: int) -> None:
    """What it costs, in a measure that no other work on the machine changes."""
    bench = Bench(index=index)
    bench.exchange()
    bench.watch._outlet = Silent(index)  # type: ignore[attr-defined]
    bench.capture.new_id = itertools.repeat(bytes(16)).__next__
    request_bytes, response_bytes = bench.watch.request_bytes, bench.watch.response_bytes

    def both() -> None:
        request_bytes(CALL)
        response_bytes(REPLY)

    assert 4 < _calls(both) - _calls(lambda: None) <= most


class Counted(Mapping[K, V]):
    """A level of the index that counts how often it is asked; walking through it is not to be had."""

    asked = 0

    def __init__(self, level: Mapping[K, V]) -> None:
        self._level = level

    def __getitem__(self, name: K) -> V:
        Counted.asked += 1
        return self._level[name]

    def __iter__(self) -> Iterator[K]:
        raise AssertionError("a walk over all collectors")

    def __len__(self) -> int:
        raise AssertionError("a walk over all collectors")


def _counted(index: Index) -> Index:
    models = index.models.items()
    return Index(Counted({m: Counted({v: Counted(c) for v, c in versions.items()}) for m, versions in models}))


@pytest.mark.parametrize("path", [b"/v2/models/digits/infer", b"/v2/models/digits/versions/v7/infer"])
@pytest.mark.parametrize("header", [b"X-Caller-Id: c7\r\n", b"Authorization: Key k\r\n", b""])
def test_ten_thousand_collectors_are_asked_what_ten_are(path: bytes, header: bytes) -> None:
    """Look-ups of the first exchange with a head; the second one has none at all."""
    request = b"POST " + path + b" HTTP/1.1\r\n" + header + b"Content-Length: 2\r\n\r\nin"
    asked = []
    for collectors in (10, 10_000):
        index = build_index(Want("digits", f"v{n % 100}", f"c{n}") for n in range(collectors))
        bench = Bench(index=_counted(index))
        for _ in range(2):
            Counted.asked = 0
            bench.exchange(request)
            asked.append(Counted.asked)
    assert asked == [asked[0], 0, asked[0], 0]
    assert 0 < asked[0] <= 7
