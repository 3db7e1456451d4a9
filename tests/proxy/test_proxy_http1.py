"""The reader, without any I/O: what it tells equals what h11 tells, however the bytes are cut."""

from __future__ import annotations

import contextlib
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.conversations import Heard, Turn, conversations, read_by_h11, split

from sidecar.exchange import read_head
from sidecar.proxy.http1 import Reader
from sidecar.proxy.messages import MAX_HEAD_BYTES, MAX_STEPS, UnreadableError


class Told:
    """One exchange, as the reader tells of it."""

    def __init__(self, head_bytes: int, piece: bytes) -> None:
        self.request_head, self.request_body = piece[:head_bytes], piece[head_bytes:]
        self.pieces = [piece]
        self.response_head = self.response_body = b""
        self.ended = ""

    def request_piece(self, piece: bytes) -> None:
        self.request_body += piece
        self.pieces.append(piece)

    def response_began(self, piece: bytes, head_bytes: int, body_bytes: int | None) -> None:
        self.response_head, self.response_body = piece[:head_bytes], piece[head_bytes:]
        self.pieces.append(piece)

    def response_piece(self, piece: bytes) -> None:
        self.response_body += piece
        self.pieces.append(piece)

    def finish(self, response_is_whole: bool) -> None:
        assert not self.ended
        self.ended = "whole" if response_is_whole else "cut"

    def let_go(self, reason: str) -> None:
        assert not self.ended
        self.ended = reason

    @property
    def heard(self) -> Heard:
        target = read_head(self.request_head).target.encode()
        return Heard(target, self.request_body, read_head(self.response_head).status, self.response_body)


class Listener:
    def __init__(self) -> None:
        self.told: list[Told] = []
        self.reader = Reader(self.begin)

    def begin(self, lower: bytes, piece: bytes, body_bytes: int | None) -> Told:
        assert piece.lower().startswith(lower)
        self.told.append(Told(len(lower), piece))
        return self.told[-1]

    @property
    def endings(self) -> list[str]:
        return [told.ended for told in self.told]


def listen(*said: tuple[str, bytes]) -> Listener:
    """`said` is (">" for the client or "<" for the upstream, bytes)."""
    listener = Listener()
    for direction, data in said:
        if direction == ">":
            listener.reader.request_bytes(data)
        else:
            listener.reader.response_bytes(data)
    return listener


def _raw(conversation: list[Turn]) -> tuple[bytes, bytes]:
    return b"".join(t.request for t in conversation), b"".join(t.interim + t.response for t in conversation)


@settings(max_examples=300)
@given(st.data())
def test_turn_by_turn_it_tells_what_h11_tells(data: st.DataObject) -> None:
    conversation = data.draw(conversations)
    listener = Listener()
    for turn in conversation:
        for piece in data.draw(split(turn.request)):
            listener.reader.request_bytes(piece)
        for piece in data.draw(split(turn.interim + turn.response)):
            listener.reader.response_bytes(piece)
    assert [told.heard for told in listener.told] == read_by_h11(conversation)
    assert {told.ended for told in listener.told} == {"whole"}
    assert listener.reader.is_idle


@settings(max_examples=300)
@given(st.data())
def test_pipelined_it_tells_what_h11_tells(data: st.DataObject) -> None:
    conversation = data.draw(conversations)
    requests, responses = _raw(conversation)
    listener = Listener()
    for piece in data.draw(split(requests)):
        listener.reader.request_bytes(piece)
    for piece in data.draw(split(responses)):
        listener.reader.response_bytes(piece)
    assert [told.heard for told in listener.told] == read_by_h11(conversation)
    assert {told.ended for told in listener.told} == {"whole"}


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from("><"), st.binary(max_size=60)), max_size=8))
def test_garbage_ends_in_one_named_way(said: list[tuple[str, bytes]]) -> None:
    with contextlib.suppress(UnreadableError):
        listener = listen(*said)
        listener.reader.close("client_left")
        assert set(listener.endings) <= {"cut", "client_left"}


@settings(max_examples=200)
@given(st.data())
def test_a_conversation_cut_anywhere_ends_every_exchange_once(data: st.DataObject) -> None:
    requests, responses = _raw(data.draw(conversations))
    listener = Listener()
    listener.reader.request_bytes(requests[: data.draw(st.integers(0, len(requests)))])
    if len(listener.told):
        cut = data.draw(st.integers(0, len(responses)))
        try:
            listener.reader.response_bytes(responses[:cut])
        except UnreadableError:  # answers to requests that were cut off
            return
    listener.reader.request_fin()
    listener.reader.response_fin()
    listener.reader.close("client_left")
    assert all(told.ended in ("whole", "cut", "client_left") for told in listener.told)


POST = b"POST /v2/models/a/infer HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def test_whole_messages_are_handed_on_as_the_objects_they_came_in() -> None:
    told = listen((">", POST), ("<", OK)).told[0]
    assert told.pieces[0] is POST
    assert told.pieces[1] is OK


def test_a_counted_body_in_pieces_is_handed_on_uncopied() -> None:
    more = b"x" * 1000
    told = listen((">", POST.replace(b"3", b"1003")), (">", more)).told[0]
    assert told.pieces[1] is more


def test_an_answer_without_length_is_whole_only_at_fin() -> None:
    listener = listen((">", POST), ("<", b"HTTP/1.0 200 OK\r\n\r\nas long"), ("<", b" as it comes"))
    assert listener.endings == [""]
    listener.reader.response_fin()
    assert listener.endings == ["whole"]
    assert listener.told[0].response_body == b"as long as it comes"


def test_an_answer_without_length_is_cut_when_the_connection_breaks() -> None:
    listener = listen((">", POST), ("<", b"HTTP/1.0 200 OK\r\n\r\nas long"))
    listener.reader.close("upstream_left")
    assert listener.told[0].ended == "cut"


def test_an_answer_before_the_request_is_whole_waits_for_it() -> None:
    listener = listen((">", POST[:-1]), ("<", OK))
    assert listener.endings == [""]
    assert not listener.reader.is_idle
    listener.reader.request_bytes(b"c")
    assert listener.endings == ["whole"]


def test_a_client_that_stops_after_an_early_answer_has_left() -> None:
    listener = listen((">", POST[:-1]), ("<", OK))
    listener.reader.request_fin()
    assert listener.told[0].ended == "client_left"
    listener.reader.close("client_left")


def test_an_upstream_that_ends_mid_request_is_named() -> None:
    listener = listen((">", POST[:-1]))
    listener.reader.response_fin()
    assert listener.told[0].ended == "upstream_left"


def test_empty_lines_between_requests_are_passed_over() -> None:
    listener = listen((">", POST + b"\r\n"), ("<", OK), (">", b"\r\n" + POST), ("<", OK))
    assert [told.ended for told in listener.told] == ["whole", "whole"]


def test_a_pipelined_head_answer_keeps_the_order() -> None:
    head = b"HEAD / HTTP/1.1\r\n\r\n"
    listener = listen((">", head + POST), ("<", OK[:-2] + OK))
    assert [told.response_body for told in listener.told] == [b"", b"hi"]


def _post(*lines: bytes) -> bytes:
    return b"\r\n".join((b"POST / HTTP/1.1", *lines, b"", b""))


@pytest.mark.parametrize(
    ("request_bytes", "reason"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", "unreadable"),
        (_post(b"A: b\nC: d"), "unreadable"),
        (_post(b"A: b\rC: d"), "unreadable"),
        (_post(b"A: b", b" folded"), "unreadable"),
        (_post(b"A: b", b"\tfolded"), "unreadable"),
        (_post(b"Content-Length: 1", b"Content-Length: 2"), "unreadable"),
        (_post(b"Content-Length: 1, 1"), "unreadable"),
        (_post(b"Content-Length: +1"), "unreadable"),
        (_post(b"Content-Length : 1"), "unreadable"),
        (_post(b"Content-Length: 1", b"Transfer-Encoding: chunked"), "unreadable"),
        (_post(b"Transfer-Encoding: gzip"), "unreadable"),
        (_post(b"Transfer-Encoding: chunked") + b"zz\r\n", "unreadable"),
        (_post(b"Transfer-Encoding: chunked") + b"1\nx\r\n0\r\n\r\n", "unreadable"),
        (_post(b"Transfer-Encoding: gzip, chunked"), "unreadable"),
        (_post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "unreadable"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "unreadable"),
        (_post(b"A: b\x00", b"Content-Length: 1"), "unreadable"),
        (_post(b"no colon", b"Content-Length: 1"), "unreadable"),
        (_post(b"A : b", b"Content-Length: 1"), "unreadable"),
        (b"PO\tST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", "unreadable"),
        (b"head / HTTP/1.1\r\n\r\n", "unreadable"),
        (b"POST /a b HTTP/1.1\r\n\r\n", "unreadable"),
        (b"GET / HTTP/2.0\r\n\r\n", "unreadable"),
        (b"GET /\r\n\r\n", "unreadable"),
        (b"\x16\x03\x01", "unreadable"),
        (b"A" * (MAX_HEAD_BYTES + 1), "unreadable"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"),
        (b"CONNECT a:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "connect"),
    ],
)
def test_a_request_that_has_a_second_reading_is_not_read(request_bytes: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        listen((">", request_bytes))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("response_bytes", "reason"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upgraded"),
        (b"HTTP/2 200 OK\r\n\r\n", "unreadable"),
        (b"nonsense", "unreadable"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "unreadable"),
        (OK + OK, "unreadable"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unreadable"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "unreadable"),
        (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", "unreadable"),
    ],
)
def test_an_answer_that_cannot_be_placed_is_not_read(response_bytes: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        listen((">", POST), ("<", response_bytes))
    assert caught.value.reason == reason


def test_many_pipelined_requests_are_all_told() -> None:
    request = b"GET / HTTP/1.1\r\n\r\n"
    listener = listen(*[(">", request * MAX_STEPS)] * 10)
    assert len(listener.told) == 10 * MAX_STEPS


CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "one_read",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 14_000,
        b"\r\n" * 130_000,
        CHUNKED + b"3ffff\r\n" + b"\r\n" * 130_000,
        CHUNKED + b"1\r\nx\r\n" * 40_000,
    ],
    ids=["requests", "empty lines", "blank lines in a chunk", "chunks"],
)
def test_no_read_holds_the_loop(one_read: bytes) -> None:
    """At worst 256 KiB come in one read; what would take too many steps of ours is not read."""
    listener = Listener()
    lines = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        with contextlib.suppress(UnreadableError):
            listener.reader.request_bytes(one_read)
    finally:
        sys.settrace(before)
    assert lines < 150_000  # some ten milliseconds


def test_small_chunks_of_one_read_are_handed_on_together() -> None:
    told = listen((">", CHUNKED), (">", b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")).told[0]
    assert told.pieces[1:] == [b"abc"]


@pytest.mark.parametrize("start", [b"\r\n", b"\n", b" "])
def test_nothing_may_stand_before_an_answer(start: bytes) -> None:
    with pytest.raises(UnreadableError):
        listen((">", POST), ("<", start + OK))
