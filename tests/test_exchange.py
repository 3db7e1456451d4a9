"""Reading a head never fails, and finds what stands in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.exchange import read_head


def test_a_request_head_is_read() -> None:
    head = read_head(
        b"POST /v1/models/m:predict?x=1 HTTP/1.1\r\nHost: h\r\nX-Caller-Id:  alice \r\nx-caller-id: bob\r\n\r\n"
    )
    assert head.start == ("POST", "/v1/models/m:predict?x=1", "HTTP/1.1")
    assert head.target == "/v1/models/m:predict?x=1"
    assert head.get("x-caller-id") == "alice"
    assert head.get("absent", "none") == "none"


def test_a_response_head_is_read() -> None:
    assert read_head(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").status == 503
    assert read_head(b"HTTP/1.1 what\r\n\r\n").status == 0


@given(st.binary(max_size=80))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    assert len(read_head(content).start) == 3
