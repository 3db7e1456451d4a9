"""Frames are cut the same way however the stream is split, and what goes in comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import frame
from sidecar.exchange import Exchange, Message
from sidecar.frame import FrameError, FrameReader, Index, Kind, Want

messages = st.builds(Message, st.binary(max_size=60), st.binary(max_size=60))
exchanges = st.builds(
    Exchange,
    st.binary(min_size=16, max_size=16),
    st.floats(0, 2e9),
    st.floats(0, 1e4),
    messages,
    st.none() | messages,
    st.booleans(),
)
names = st.text(max_size=12)
wants = st.builds(Want, names, names, names, st.floats(0.001, 1))


def framed(exchange: Exchange) -> bytes:
    response = exchange.response or Message(b"", b"")
    a, b, c, d = (len(part) for part in (*exchange.request, *response))
    flags = frame.HAS_RESPONSE * (exchange.response is not None) + frame.RESPONSE_IS_WHOLE * exchange.response_is_whole
    record = (exchange.id, 0.0, exchange.latency_seconds, flags, a, b, c, d, (*exchange.request, *response))
    return b"".join(frame.exchange_frames([record], exchange.started_at))


@given(st.lists(exchanges, max_size=5), st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_exchanges_cross_however_the_stream_is_split(sent: list[Exchange], cuts: list[int]) -> None:
    stream = b"".join(framed(exchange) for exchange in sent)
    reader = FrameReader()
    received = []
    at = 0
    turn = 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        received += [(kind, frame.decode_exchange(payload)) for kind, payload in reader.feed(stream[at : at + step])]
        at += step
        turn += 1
    assert received == [(Kind.EXCHANGE, exchange) for exchange in sent]


@given(exchanges, st.integers(1, 40))
def test_a_payload_that_is_cut_or_padded_is_refused(exchange: Exchange, count: int) -> None:
    payload = framed(exchange)[frame.PREFIX.size :]
    for wrong in (payload[:-count], payload + bytes(count)):
        with pytest.raises(FrameError, match="exchange frame"):
            frame.decode_exchange(wrong)


def test_an_absurd_length_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(FrameError, match="claims"):
        list(FrameReader().feed(frame.PREFIX.pack(1, 2**32 - 1)))


@given(st.dictionaries(st.from_regex(r"[a-z_.]+", fullmatch=True), st.integers(0, 2**63)))
def test_counts_cross(counts: dict[str, int]) -> None:
    assert frame.decode_counts(frame.encode_counts(counts)) == counts


@given(st.lists(wants, max_size=8))
def test_an_index_crosses(given_wants: list[Want]) -> None:
    index = frame.build_index(given_wants)
    assert frame.decode_index(frame.encode_index(index)) == index


@pytest.mark.parametrize("text", ["model\tversion\tcaller", "a\tb\tc\td\te"])
def test_an_index_line_that_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(FrameError, match="fields"):
        frame.decode_index(text)


few = st.sampled_from(["", "a", "b"])
few_wants = st.lists(st.builds(Want, few, few, few, st.floats(0.1, 1)), max_size=8)


@given(few_wants, st.sampled_from(["a", "b", "c"]), st.sampled_from([None, "a", "b"]), st.sampled_from([None, "a"]))
def test_the_index_says_what_a_walk_over_all_wants_says(
    given_wants: list[Want], model: str, version: str | None, caller: str | None
) -> None:
    def could_want(want: Want) -> bool:
        return (
            want.model in ("", model)
            and (version is None or want.version in ("", version))
            and (caller is None or want.caller in ("", caller))
        )

    expected = max((want.sample for want in given_wants if could_want(want)), default=0.0)
    assert frame.build_index(given_wants).fraction(model, version, caller) == expected


def test_an_empty_index_wants_nothing() -> None:
    assert Index().fraction("digits", None, None) == 0.0


def test_an_index_read_in_slices_is_the_same_and_pauses() -> None:
    index = frame.build_index(Want(f"m{n}", str(n % 3), f"c{n}", 0.5) for n in range(3 * frame.SLICE_RULES + 1))
    slices = frame.decode_index_in_slices(frame.encode_index(index))
    for _ in range(3):
        next(slices)
    with pytest.raises(StopIteration) as ended:
        next(slices)
    assert ended.value.value == index
