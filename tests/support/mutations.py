"""Conversations that are nearly valid: what is changed in them is what readers are known to read differently."""

from __future__ import annotations

from hypothesis import strategies as st

ODD_LINES = (
    b"A: b\r\n folded\r\n",
    b"A: b\r\n\t\r\n",
    b"A : b\r\n",
    b"A: b\n",
    b"A: b\rC: d\r\n",
    b"A: \x00\r\n",
    b"\x80: b\r\n",
    b"no colon\r\n",
    b": b\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 7\r\n",
    b"content-length: 3, 3\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length:\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b"\r\n",
)
"""What different readers read differently, or not at all."""


@st.composite
def _mutation(draw: st.DrawFn, whole: bytes) -> bytes:
    kind = draw(st.sampled_from(["line", "line", "line", "bare LF", "bytes", "cut", "again"]))
    if kind in ("line", "bare LF"):
        ends = [at for at in range(len(whole)) if whole.startswith(b"\r\n", at)]
        if not ends:
            return whole
        at = draw(st.sampled_from(ends))
        if kind == "bare LF":
            return whole[:at] + whole[at + 1 :]
        return whole[: at + 2] + draw(st.sampled_from(ODD_LINES)) + whole[at + 2 :]
    start, end = sorted((draw(st.integers(0, len(whole))), draw(st.integers(0, len(whole)))))
    if kind == "bytes":
        return whole[:start] + draw(st.binary(min_size=1, max_size=3)) + whole[start:]
    return whole[:start] + whole[end:] if kind == "cut" else whole[:end] + whole[start:]


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole`, changed in one to three places."""
    for _ in range(draw(st.integers(1, 3))):
        whole = draw(_mutation(whole))
    return whole
