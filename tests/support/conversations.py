"""Conversations for Hypothesis: requests and answers of many framings, and h11 as an independent reader of them."""

from __future__ import annotations

import itertools
from typing import NamedTuple, TypeVar

import h11
from hypothesis import strategies as st

T = TypeVar("T", h11.Request, h11.Response)


class Turn(NamedTuple):
    """One exchange on the wire; `interim` are 1xx answers before the last one."""

    request: bytes
    interim: bytes
    response: bytes


class Heard(NamedTuple):
    """One exchange as a reader told of it: bodies without their transfer encoding."""

    target: bytes
    request_body: bytes
    status: int
    response_body: bytes


def _chunked(body: bytes, sizes: list[int], trailer: bytes) -> bytes:
    out, at = [], 0
    for size in sizes:
        piece = body[at : at + size]
        at += size
        if piece:
            out.append(b"%x\r\n%s\r\n" % (len(piece), piece))
    if body[at:]:
        out.append(b"%X;ext=1\r\n%s\r\n" % (len(body[at:]), body[at:]))
    return b"".join(out) + b"0\r\n" + trailer + b"\r\n"


_BODIES = st.one_of(st.binary(max_size=200), st.just(b"\r\n\r\n" * 5), st.just(b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"))
_SIZES = st.lists(st.integers(1, 40), max_size=4)
_TRAILERS = st.sampled_from([b"", b"X-Sum: 1\r\n"])
_EXTRA = st.sampled_from(
    [
        b"",
        b"Expect: 100-continue\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
        b"X-Caller-Id: a\r\n",
    ]
)


@st.composite
def _framed(draw: st.DrawFn, start: bytes) -> bytes:
    body = draw(_BODIES)
    if draw(st.booleans()):
        encoded = _chunked(body, draw(_SIZES), draw(_TRAILERS))
        return start + b"Transfer-Encoding: chunked\r\n\r\n" + encoded
    name = draw(st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]))
    return start + name + b":%s%d\r\n\r\n" % (draw(st.sampled_from([b"", b" ", b"\t"])), len(body)) + body


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    target = draw(st.sampled_from([b"/v2/models/a/infer", b"/v1/models/b:predict", b"/v2/models/a/outputs"]))
    start = target + b" HTTP/1.1\r\nHost: a\r\n" + draw(_EXTRA)
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
    )
    kind = draw(st.sampled_from(["post", "post", "post", "get", "head", "empty"]))
    ok = b"HTTP/1.1 200 OK\r\nServer: m\r\n"
    if kind == "post":
        return Turn(draw(_framed(b"POST " + start)), interim, draw(_framed(ok)))
    if kind == "get":
        return Turn(b"GET " + start + b"\r\n", interim, draw(_framed(ok)))
    if kind == "head":
        return Turn(b"HEAD " + start + b"\r\n", interim, ok + b"Content-Length: 1234\r\n\r\n")
    status = draw(st.sampled_from([b"204 No Content", b"304 Not Modified"]))
    return Turn(draw(_framed(b"POST " + start)), interim, b"HTTP/1.1 " + status + b"\r\nServer: m\r\n\r\n")


conversations = st.lists(turns(), min_size=1, max_size=5)


@st.composite
def split(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """`whole`, cut at random places; often all in one, and sometimes byte by byte."""
    if len(whole) < 300 and draw(st.integers(0, 9)) == 0:
        return [whole[at : at + 1] for at in range(len(whole))]
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges) if a < b]


def read_by_h11(conversation: list[Turn]) -> list[Heard]:
    """What h11 makes of it, a fresh connection a turn: it would end the connection at an offered upgrade."""
    return [_read_turn(turn) for turn in conversation]


def _read_turn(turn: Turn) -> Heard:
    server = h11.Connection(h11.SERVER)
    server.receive_data(turn.request)
    request, request_body = _read(server, h11.Request)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=request.method, target=b"/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(turn.interim + turn.response)
    response, response_body = _read(client, h11.Response)
    return Heard(request.target, request_body, response.status_code, response_body)


def _read(connection: h11.Connection, kind: type[T]) -> tuple[T, bytes]:
    heads: list[T] = []
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, kind):
            heads.append(event)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif not isinstance(event, h11.InformationalResponse):
            raise TypeError(f"{event!r} before the end")
    [head] = heads
    return head, body
