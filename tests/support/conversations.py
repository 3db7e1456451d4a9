"""Conversations for Hypothesis: requests and answers of many framings, and h11 as an independent reader of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import h11
from hypothesis import strategies as st

T = TypeVar("T", h11.Request, h11.Response)
_LONGEST_HEAD_BYTES = 1 << 20


class Turn(NamedTuple):
    """One exchange on the wire; `interim` are 1xx answers before the last one."""

    request: bytes
    interim: bytes
    response: bytes
    ends_with_fin: bool = False
    """The answer has no length: only the end of the connection ends it."""


class Heard(NamedTuple):
    """One exchange as a reader told of it: bodies without their transfer encoding."""

    target: bytes
    request_body: bytes
    status: int
    response_body: bytes


def head_of(message: bytes) -> bytes:
    """A message's head: up to and with its blank line."""
    return message[: message.index(b"\r\n\r\n") + 4]


def _chunked(body: bytes, sizes: list[int], extension: bytes, trailer: bytes) -> bytes:
    out, at = [], 0
    for size in sizes:
        piece = body[at : at + size]
        at += size
        if piece:
            out.append(b"%x\r\n%s\r\n" % (len(piece), piece))
    if body[at:]:
        out.append(b"%04X%s\r\n%s\r\n" % (len(body[at:]), extension, body[at:]))
    return b"".join(out) + b"0" + extension + b"\r\n" + trailer + b"\r\n"


_BODIES = st.one_of(st.binary(max_size=200), st.just(b"\r\n\r\n" * 5), st.just(b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"))
_SIZES = st.lists(st.integers(1, 40), max_size=4)
_EXTENSIONS = st.sampled_from([b"", b";ext=1", b';a="b c";d'])
_TRAILERS = st.sampled_from([b"", b"X-Sum: 1\r\n", b"x-a:\r\nX-B: Content-Length\r\n"])
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n"
"""What Java's client offers on every call."""
_FIELDS = st.sampled_from(
    [
        b"Accept: a\r\n",
        b"accept: b\r\n",
        b"ACCEPT:c\r\n",
        b"X-Empty:\r\n",
        b"x-oDd:\t \tv\t\r\n",
        b"X-Letters: \xc3\xa9\xff\r\n",
        b"Connection: keep-alive\r\n",
        b"Cookie: content-length: 3; transfer-encoding: chunked\r\n",
        b"Content-Length-Hint: 3\r\n",
        b"Transfer-Encoding-Hint: gzip\r\n",
    ]
)
_REQUEST_FIELDS = st.one_of(
    _FIELDS,
    st.sampled_from(
        [
            b"Expect: 100-continue\r\n",
            OFFER,
            b"Connection: upgrade\r\nuPGRADE:h2c\r\n",
            b"X-Caller-Id: a\r\n",
        ]
    ),
)
_STATUSES = st.sampled_from([b"200 OK", b"201 ", b"404 Not found, sorry", b"500 \xe9", b"299 x"])
_INTERIM = st.sampled_from(
    [b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 \r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"]
)
_TARGETS = st.sampled_from(
    [b"/v2/models/a/infer", b"/v1/models/b:predict?c=d", b"/v2/models/a/outputs", b"http://h:1/v2/models/a/infer"]
)


@st.composite
def _fields(draw: st.DrawFn, some: st.SearchStrategy[bytes], *needed: bytes) -> bytes:
    """Fields in any order, some of them twice, `needed` among them."""
    return b"".join(draw(st.permutations([*needed, *draw(st.lists(some, max_size=4))])))


@st.composite
def _framed(draw: st.DrawFn, start: bytes, some: st.SearchStrategy[bytes], *needed: bytes) -> bytes:
    body = draw(_BODIES)
    if draw(st.booleans()):
        encoded = _chunked(body, draw(_SIZES), draw(_EXTENSIONS), draw(_TRAILERS))
        coding = draw(st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:Chunked \r\n"]))
        return start + draw(_fields(some, coding, *needed)) + b"\r\n" + encoded
    name = draw(st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]))
    length = name + b":%s%d\r\n" % (draw(st.sampled_from([b"", b" ", b"\t"])), len(body))
    return start + draw(_fields(some, length, *needed)) + b"\r\n" + body


@st.composite
def _requests(draw: st.DrawFn, method: bytes, *, has_body: bool) -> bytes:
    host = draw(st.sampled_from([b"Host: a\r\n", b"hOST:a:1\r\n"]))
    start = method + b" " + draw(_TARGETS) + draw(st.sampled_from([b" HTTP/1.1\r\n"] * 3 + [b" HTTP/1.0\r\n"]))
    if has_body and start.endswith(b"1.1\r\n"):
        return draw(_framed(start, _REQUEST_FIELDS, host))
    body = draw(_BODIES) if has_body else b""
    lengths = [b"Content-Length: %d\r\n" % len(body)] if has_body else []
    return start + draw(_fields(_REQUEST_FIELDS, host, *lengths)) + b"\r\n" + body


@st.composite
def _responses(draw: st.DrawFn) -> bytes:
    return draw(_framed(b"HTTP/1.1 " + draw(_STATUSES) + b"\r\n", _FIELDS))


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    interim = draw(_INTERIM)
    kind = draw(st.sampled_from(["post", "post", "post", "bare", "get", "head", "empty"]))
    if kind == "post":
        method = draw(st.sampled_from([b"POST", b"POST", b"POST", b"PUT", b"PATCH", b"FROB"]))
        return Turn(draw(_requests(method, has_body=True)), interim, draw(_responses()))
    if kind == "get":
        method = draw(st.sampled_from([b"GET", b"DELETE", b"OPTIONS", b"X-!#$%&'*+.^_`|~0"]))
        return Turn(draw(_requests(method, has_body=False)), interim, draw(_responses()))
    if kind == "bare":
        return Turn(draw(_requests(b"POST", has_body=False)), interim, draw(_responses()))
    if kind == "head":
        framing = draw(st.sampled_from([b"Content-Length: 1234\r\n", b"Transfer-Encoding: chunked\r\n", b""]))
        said = b"HTTP/1.1 200 OK\r\n" + draw(_fields(_FIELDS, framing)) + b"\r\n"
        return Turn(draw(_requests(b"HEAD", has_body=False)), interim, said)
    status = draw(st.sampled_from([b"204 No Content", b"304 Not Modified", b"304 x\r\nContent-Length: 99"]))
    said = b"HTTP/1.1 " + status + b"\r\n" + draw(_fields(_FIELDS)) + b"\r\n"
    return Turn(draw(_requests(b"POST", has_body=True)), interim, said)


@st.composite
def last_turns(draw: st.DrawFn) -> Turn:
    """One whose answer only the end of the connection ends."""
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]))
    said = version + b" 200 OK\r\n" + draw(_fields(_FIELDS)) + b"\r\n" + draw(_BODIES)
    return Turn(draw(_requests(b"POST", has_body=True)), draw(_INTERIM), said, ends_with_fin=True)


conversations = st.lists(turns(), min_size=1, max_size=5)
ended_conversations = st.builds(lambda many, last: [*many, last], st.lists(turns(), max_size=3), last_turns())


@st.composite
def split(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """`whole`, cut at random places; often all in one, and sometimes byte by byte."""
    if len(whole) < 300 and draw(st.integers(0, 9)) == 0:
        return [whole[at : at + 1] for at in range(len(whole))]
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges) if a < b]


def read_by_h11(conversation: Sequence[Turn]) -> list[Heard]:
    """What h11 makes of it, a fresh connection a turn: it would end the connection at an offered upgrade."""
    return [heard for turn in conversation for heard in read_streams_by_h11(*_streams(turn)).heard]


def _streams(turn: Turn) -> tuple[bytes, bytes, bool]:
    return turn.request, turn.interim + turn.response, turn.ends_with_fin


class Reading(NamedTuple):
    """What h11 makes of two streams of bytes; `has_failed` when it found something that it takes for no HTTP/1."""

    heard: list[Heard]
    methods: list[bytes]
    has_failed: bool


def read_streams_by_h11(requests: bytes, responses: bytes, ends: bool = True) -> Reading:
    """Exchange after exchange, as long as both sides are whole; `ends`: the upstream then ends the connection."""
    heard: list[Heard] = []
    methods: list[bytes] = []
    try:
        while requests:
            server = _connection(h11.SERVER)
            server.receive_data(requests)
            request, request_body = _read(server, h11.Request)
            requests = server.trailing_data[0]
            client = _connection(h11.CLIENT)
            client.send(h11.Request(method=request.method, target=b"/", headers=[("Host", "a")]))
            client.send(h11.EndOfMessage())
            client.receive_data(responses)
            if ends:
                client.receive_data(b"")
            response, response_body = _read(client, h11.Response)
            responses = client.trailing_data[0]
            heard.append(Heard(request.target, request_body, response.status_code, response_body))
            methods.append(request.method)
    except h11.ProtocolError:
        return Reading(heard, methods, has_failed=True)
    except _UnfinishedError:
        pass
    return Reading(heard, methods, has_failed=False)


def _connection(role: type[h11.CLIENT] | type[h11.SERVER]) -> h11.Connection:
    return h11.Connection(role, max_incomplete_event_size=_LONGEST_HEAD_BYTES)


class _UnfinishedError(Exception):
    """A message is not whole."""


def _read(connection: h11.Connection, kind: type[T]) -> tuple[T, bytes]:
    heads: list[T] = []
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, kind):
            heads.append(event)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif not isinstance(event, h11.InformationalResponse):
            raise _UnfinishedError
    [head] = heads
    return head, body
