"""The bounded copy: what is kept, what is let go, and that every byte held is given back."""

from __future__ import annotations

import pytest
from support.clock import FakeClock
from support.relay_end import answer, predict

from sidecar import frame
from sidecar.exchange import Exchange
from sidecar.frame import Index, Record, build_index
from sidecar.proxy.admit import Admission
from sidecar.proxy.capture import Capture
from sidecar.proxy.counts import Counts
from sidecar.proxy.http1 import Reader
from sidecar.proxy.tap import PIECE_BYTES, Tap


class Kept:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.index: Index | None = None
        self.waiting_bytes = 0
        self.overflow_reason = "queue_full"
        self.refuses_for: str | None = None
        self.exchanges: list[Exchange] = []
        self.pieces: list[tuple[bytes, ...]] = []

    @property
    def waiting_at_most_bytes(self) -> int:
        return self.waiting_bytes

    def send(self, record: Record, size_bytes: int) -> str | None:
        framed = b"".join(frame.exchange_frames([record], 0.0))
        assert size_bytes == len(framed)
        if self.refuses_for is None:
            self.pieces.append(record[-1])
            self.exchanges.append(frame.decode_exchange(framed[frame.PREFIX.size :]))
        return self.refuses_for


class Bench:
    def __init__(self, *, limit_bytes: int = 10_000, max_body_bytes: int = 1000) -> None:
        self.outlet, self.counts, self.clock = Kept(), Counts(), FakeClock(1000.0)
        self.capture = Capture(
            Admission("x-caller-id"),
            self.outlet,
            self.counts,
            self.clock,
            limit_bytes=limit_bytes,
            max_body_bytes=max_body_bytes,
        )
        self.tap = Tap(self.capture)
        self.reader = Reader(self.tap.begin)

    def exchange(self, request: bytes, response: bytes) -> None:
        self.reader.request_bytes(request)
        self.reader.response_bytes(response)


def test_an_exchange_is_framed_from_the_objects_it_came_in() -> None:
    bench = Bench()
    request, response = predict(b"question"), answer(b"reply")
    bench.reader.request_bytes(request)
    bench.clock.advance(0.25)
    bench.reader.response_bytes(response)
    [exchange] = bench.outlet.exchanges
    assert (exchange.started_at, exchange.latency_seconds) == (1000.0, 0.25)
    assert (exchange.request.body, exchange.response and exchange.response.body) == (b"question", b"reply")
    assert bench.outlet.pieces[0][0] is request
    assert bench.outlet.pieces[0][1] is response
    assert (bench.capture.held_bytes, bench.counts.copying) == (0, 0)


def test_what_is_no_predict_call_is_not_copied() -> None:
    bench = Bench()
    bench.exchange(b"GET /healthz HTTP/1.1\r\n\r\n", answer())
    assert (bench.counts.seen, bench.counts.unwanted) == (1, 1)
    assert not bench.outlet.exchanges


def test_a_body_of_the_largest_size_is_kept_and_one_byte_more_is_not() -> None:
    bench = Bench()
    bench.exchange(predict(bytes(1000)), answer(bytes(1000)))
    bench.exchange(predict(bytes(1001)), answer())
    bench.exchange(predict(), answer(bytes(1001)))
    assert len(bench.outlet.exchanges) == 1
    assert bench.counts.lost["too_large"] == 2
    assert bench.capture.held_bytes == 0


def test_a_length_that_is_too_large_is_let_go_before_the_body_comes() -> None:
    bench = Bench()
    bench.reader.request_bytes(predict(bytes(5000))[:200])
    assert bench.counts.lost["too_large"] == 1
    assert bench.capture.held_bytes == 0


def test_a_chunked_body_is_let_go_when_it_has_grown_too_large() -> None:
    bench = Bench()
    bench.reader.request_bytes(b"POST /v2/models/a/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(3):
        bench.reader.request_bytes(b"190\r\n" + bytes(400) + b"\r\n")
    assert bench.counts.lost["too_large"] == 1
    bench.exchange(b"0\r\n\r\n", answer())
    assert not bench.outlet.exchanges


def test_all_copies_stand_under_one_budget() -> None:
    size = len(predict(bytes(500))) + PIECE_BYTES
    bench = Bench(limit_bytes=2 * size)
    for _ in range(3):
        bench.reader.request_bytes(predict(bytes(500)))
    assert (bench.counts.copying, bench.counts.lost["queue_full"]) == (2, 1)
    assert bench.capture.held_bytes == 2 * size


def test_what_waits_for_the_engine_counts_against_the_budget() -> None:
    bench = Bench(limit_bytes=1000)
    bench.outlet.waiting_bytes = 900
    bench.outlet.overflow_reason = "engine_away"
    bench.exchange(predict(bytes(50)), answer())
    assert bench.counts.lost["engine_away"] == 1


def test_tiny_pieces_cannot_outgrow_the_budget() -> None:
    bench = Bench(limit_bytes=5000)
    bench.reader.request_bytes(predict(bytes(900))[:100])
    for _ in range(500):
        bench.reader.request_bytes(b"x")
    assert bench.counts.lost["queue_full"] == 1


def test_what_the_link_refuses_is_lost_under_its_reason() -> None:
    bench = Bench()
    bench.outlet.refuses_for = "engine_away"
    bench.exchange(predict(), answer())
    assert bench.counts.lost["engine_away"] == 1
    assert bench.counts.open == 0


def test_whole_exchanges_are_sampled_by_their_id() -> None:
    bench = Bench(limit_bytes=1 << 20)
    bench.outlet.index = build_index([frame.Want("digits", sample=0.25)])
    ids = iter([bytes(8) + bytes([64]) + bytes(7), bytes(8) + bytes([63]) + bytes([255]) * 7])
    bench.capture.new_id = ids.__next__
    bench.exchange(predict(), answer())
    bench.exchange(predict(), answer())
    assert (bench.counts.unwanted, len(bench.outlet.exchanges)) == (1, 1)
    assert bench.outlet.exchanges[0].id[8] == 63


def test_an_admission_that_fails_is_counted_as_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(Admission, "fraction", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.reader.request_bytes(predict())
    assert (bench.counts.seen, bench.counts.lost["capture_failed"], bench.counts.open) == (1, 1, 0)


def test_abandoning_ends_every_open_copy_once() -> None:
    bench = Bench()
    bench.reader.request_bytes(predict() + predict())
    bench.tap.abandon("unreadable")
    bench.tap.abandon("unreadable")
    bench.reader.close("client_left")
    assert bench.counts.lost["unreadable"] == 2
    assert sum(bench.counts.lost.values()) == 2
    assert bench.capture.held_bytes == 0
