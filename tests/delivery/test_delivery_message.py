"""A parcel as a message: its body is what is documented, and no name in it can lead an address astray."""

from __future__ import annotations

import re

import orjson
import pytest
from contract.parcels import STARTED_AT, TRACEPARENT, parcel
from hypothesis import given
from hypothesis import strategies as st

from sidecar.data import Data, Text
from sidecar.delivery import message
from sidecar.delivery.message import LONGEST_TOKEN, address_of, body_of, key_of, longest_address, to_messages, token
from sidecar.delivery.outcome import Rejected

SAFE = re.compile(r"[0-9A-Za-z_%~-]+")


def test_the_body_tells_all_that_is_known() -> None:
    sent = parcel("a")
    record = orjson.loads(body_of(sent))
    assert record == {
        "format": "input/1",
        "input_id": sent.input_id,
        "exchange_id": sent.exchange_id,
        "input_index": 0,
        "collector": "watch",
        "caller": "alice",
        "model": "digits",
        "version": "1",
        "started_at": STARTED_AT,
        "latency_seconds": 0.0125,
        "status": 200,
        "sample_exchanges": 0.5,
        "sample_inputs": 0.2,
        "headers": {"traceparent": TRACEPARENT},
        "dataset_ids": [],
        "data": {"text": {"raw": "text of a"}, "metadata": {"headers": {"traceparent": TRACEPARENT}}},
        "output": {"concepts": [{"id": "cat", "name": "cat", "value": 0.75}]},
    }
    documented = re.findall(r"[a-z_]+", message.__doc__ or "")
    assert set(record) <= set(documented)


def test_what_is_not_there_is_null_and_what_is_not_written_yet_is_written() -> None:
    record = orjson.loads(body_of(parcel("a")._replace(wire=b"", output_wire=None)))
    assert record["output"] is None
    assert record["data"]["text"] == {"raw": "text of a"}


def test_a_parcel_that_no_message_can_carry_takes_no_other_along() -> None:
    broken = parcel("b")._replace(wire=b"", data=Data(text=Text("\ud800")))
    messages, outcomes = to_messages([parcel("a"), broken, parcel("c"), parcel("a")])
    assert [each.places for each in messages] == [[0, 3], [2]]
    assert list(outcomes) == [1]
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].reason == "unencodable"


@given(st.text(), st.text())
def test_a_token_is_one_safe_word_and_two_names_have_two(one: str, other: str) -> None:
    for text in (one, other):
        assert SAFE.fullmatch(token(text))
        assert len(token(text)) <= LONGEST_TOKEN
    assert (token(one) == token(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice", "alice"),
        ("", "-"),
        ("-", "%2D"),
        ("a.b", "a%2Eb"),
        ("*", "%2A"),
        (">", "%3E"),
        ("#", "%23"),
        ("ä b", "%C3%A4%20b"),
    ],
)
def test_tokens_as_documented(text: str, expected: str) -> None:
    assert token(text) == expected


def test_a_long_name_is_cut_and_ends_with_a_hash_of_the_whole() -> None:
    first, second = token("x" * 200 + "1"), token("x" * 200 + "2")
    assert first != second
    assert first[:23] == second[:23] == "x" * 23


def test_addresses_and_keys() -> None:
    sent = parcel("a")._replace(caller="a.b", version="")
    assert address_of("kept.{collector}.{caller}.{model}.{version}", sent) == "kept.watch.a%2Eb.digits.-"
    assert key_of(sent) == "a%2Eb/digits"
    assert key_of(parcel("a")._replace(caller="a", model="b/c")) != key_of(
        parcel("a")._replace(caller="a/b", model="c")
    )


@given(st.text())
def test_the_longest_address_is_none_longer(caller: str) -> None:
    template = "kept.{collector}.{caller}"
    assert len(address_of(template, parcel("a")._replace(caller=caller))) <= longest_address(template)


@pytest.mark.parametrize(
    "template", ["{", "{}", "{caller!r}", "{caller:>9}", "{caller.x}", "{key}", "{0}", "{caller[0]}"]
)
def test_a_template_names_nothing_else(template: str) -> None:
    with pytest.raises(ValueError, match=r"may name|cannot be read"):
        longest_address(template)
