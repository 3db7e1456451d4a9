"""The decision at the head: no only when it is sure."""

from __future__ import annotations

import pytest

from sidecar.capture.caller import Callers
from sidecar.exchange import read_head
from sidecar.frame import Index, Want, build_index
from sidecar.passing import ModelName
from sidecar.proxy.admit import ANONYMOUS, Admission, is_sampled

ADMISSION = Admission("X-Caller-Id")
LOW, HIGH = bytes(16), b"\xff" * 16


def _head(*lines: bytes, target: bytes = b"/v2/models/digits/versions/1/infer") -> bytes:
    return b"\r\n".join((b"POST " + target + b" HTTP/1.1", b"Host: a", *lines, b"", b""))


def _is_wanted(head: bytes, index: Index | None, exchange_id: bytes = LOW) -> bool:
    return is_sampled(exchange_id, ADMISSION.fraction(head + b"and its body", head.lower(), index))


@pytest.mark.parametrize(
    ("lines", "caller"),
    [
        ((b"X-Caller-Id: Alice",), "Alice"),
        ((b"x-CALLER-id:\tAlice ",), "Alice"),
        ((b"X-Caller-Id: first", b"X-Caller-Id: second"), "first"),
        ((b"X-Caller-Id: Alice", b"Authorization: Key k"), "Alice"),
        ((b"X-Caller-Id: \xe9",), "é"),
        ((b"X-Caller-Id:",), ANONYMOUS),
        ((), ANONYMOUS),
        ((b"Not-X-Caller-Id: Alice",), ANONYMOUS),
        ((b"Authorization: Key k",), None),
        ((b"x-api-key: k",), None),
        ((b"X-Caller-Id: ", b"Authorization: Key k"), None),
    ],
)
def test_the_caller_as_far_as_the_head_tells(lines: tuple[bytes, ...], caller: str | None) -> None:
    head = _head(*lines)
    assert ADMISSION.caller(head, head.lower()) == caller


@pytest.mark.parametrize(
    ("want", "lines", "is_wanted"),
    [
        (Want("digits"), (), True),
        (Want("other"), (), False),
        (Want("digits", "1"), (), True),
        (Want("digits", "2"), (), False),
        (Want("digits", "", "Alice"), (b"X-Caller-Id: Alice",), True),
        (Want("digits", "", "Alice"), (b"X-Caller-Id: alice",), False),
        (Want("digits", "", "Alice"), (), False),
        (Want("digits", "", "Alice"), (b"Authorization: Key k",), True),
        (Want("digits", "", ANONYMOUS), (), True),
    ],
)
def test_the_index_is_asked_for_model_version_and_caller(want: Want, lines: tuple[bytes, ...], is_wanted: bool) -> None:
    assert _is_wanted(_head(*lines), build_index([want])) is is_wanted


def test_a_version_that_the_path_does_not_name_may_be_any() -> None:
    assert _is_wanted(_head(target=b"/v2/models/digits/infer"), build_index([Want("digits", "7")]))


def test_without_an_index_every_predict_call_is_wanted_and_nothing_else() -> None:
    assert _is_wanted(_head(), None)
    assert not _is_wanted(_head(target=b"/v2/models/digits/ready"), None)


def test_the_sample_is_drawn_from_the_id() -> None:
    index = build_index([Want("digits", sample=0.5)])
    assert _is_wanted(_head(), index, LOW)
    assert not _is_wanted(_head(), index, HIGH)
    assert _is_wanted(_head(), build_index([Want("digits")]), HIGH)


def test_long_request_lines_are_read_and_not_remembered() -> None:
    line = b"POST /v1/models/m:predict?" + b"q" * 1000 + b" HTTP/1.1"
    found = ADMISSION.route_of(line)
    assert found is not None
    assert found.model == "m"


def test_the_model_of_a_predict_call_is_told_whoever_wants_it_and_nothing_of_another_call() -> None:
    told: list[ModelName] = []
    admission = Admission("x-caller-id", told.append)
    nobody = build_index([])
    for target in (b"/v2/models/a%20b/versions/1/infer", b"/v2/models/a%20b/ready", b"/v1/models/digits:predict?x"):
        head = _head(target=target)
        for index in (nobody, None, nobody):
            admission.fraction(head, head.lower(), index)
    assert told == [ModelName("a b", "1"), ModelName("digits")]


def test_a_callers_name_beyond_ascii_is_read_as_the_engine_reads_it() -> None:
    head = "POST /v1/models/m:predict HTTP/1.1\r\nX-Caller-Id: Zoë\r\n\r\n".encode()
    named = Admission("x-caller-id").caller(head, head.lower())
    assert named == Callers("x-caller-id", {}).resolve(read_head(head)) == "Zoë"
