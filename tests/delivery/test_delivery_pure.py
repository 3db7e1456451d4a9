"""The pure parts of delivery: what is posted, under which id, in which groups, and when again."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.data import Concept, Data, Media, Raw, Tensor, Text, from_wire
from sidecar.delivery import wire
from sidecar.delivery.backoff import retry_at
from sidecar.delivery.destination import Details, Parcel, input_id_of
from sidecar.delivery.outcome import Rejected
from sidecar.kit.ids import ID


def parcel(data: Data, *dataset_ids: str) -> Parcel:
    return Parcel("one", data, "watch", "alice", "digits", "1", "local", "main", dataset_ids)


def test_tensors_without_text_become_the_text() -> None:
    data = Data(tensors=(Tensor([1, 2], "x", "FP32", (2,)),), concepts=(Concept("a", 0.5),))
    posted = wire.data_to_post(data)
    assert set(posted) == {"text", "concepts"}
    assert from_wire(orjson.loads(posted["text"]["raw"])).tensors == data.tensors


def test_raw_beside_a_text_goes_into_metadata_and_nothing_is_lost() -> None:
    data = Data(text=Text("hello"), raw=Raw(b"\x00\xff", "application/x"), metadata={"sidecar": "taken", "k": 1})
    posted = wire.data_to_post(data)
    assert posted["text"] == {"raw": "hello"}
    assert posted["metadata"]["sidecar"] == "taken"
    assert from_wire(posted["metadata"]["sidecar_"]).raw == data.raw


def test_what_the_contract_knows_is_posted_as_it_is() -> None:
    data = Data(image=Media(url="http://x/cat.png", allow_duplicate_url=True), metadata={"k": None})
    assert wire.data_to_post(data) == {
        "image": {"url": "http://x/cat.png", "allow_duplicate_url": True},
        "metadata": {"k": None},
    }


def test_dataset_ids_are_joined_without_repeats() -> None:
    item = wire.to_item(0, parcel(Data(text=Text("t")), "a", "b"), ["b", "c"])
    assert isinstance(item, wire.Item)
    assert orjson.loads(item.body)["dataset_ids"] == ["a", "b", "c"]


def test_what_json_cannot_hold_is_rejected() -> None:
    item = wire.to_item(0, parcel(Data(tensors=(Tensor([b"nested"]),))))
    assert isinstance(item, Rejected)
    assert item.reason == "unencodable"


def test_an_input_larger_than_a_request_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_REQUEST_BYTES", 200)
    assert isinstance(wire.to_item(0, parcel(Data(text=Text("x" * 100)))), wire.Item)
    assert isinstance(wire.to_item(0, parcel(Data(text=Text("x" * 200)))), Rejected)


items = st.builds(
    wire.Item,
    place=st.integers(),
    input_id=st.just("i"),
    body=st.integers(2, 40_000_000).map(lambda size: b"x" * (size % 97 + 2)),
    has_video=st.booleans(),
)


@given(st.lists(items, max_size=300), st.integers(200, 2000))
def test_groups_keep_the_limits_and_the_order(listed: list[wire.Item], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "MAX_REQUEST_BYTES", limit)
        groups = list(wire.to_groups(listed))
    assert [item for group in groups for item in group] == listed
    for group in groups:
        assert len(group) <= 128
        assert len(wire.join(group)) < limit
        assert len(group) == 1 or not any(item.has_video for item in group)


@given(st.binary(min_size=16, max_size=16).map(bytes.hex), st.integers(0, 10**9), st.text(max_size=60))
def test_an_input_id_is_valid_and_repeatable(exchange_id: str, index: int, collector: str) -> None:
    input_id = input_id_of(exchange_id, index, collector)
    assert ID.fullmatch(input_id)
    assert len(input_id) <= 48
    assert input_id == input_id_of(exchange_id, index, collector)
    assert input_id != input_id_of(exchange_id, index + 1, collector)
    assert input_id != input_id_of(exchange_id, index, collector + "x")
    assert input_id[:12] == exchange_id[:12], "it sorts by time as the exchange does"


@given(st.integers(0, 10**6), st.text(max_size=20))
def test_waits_grow_from_five_seconds_to_an_hour(attempts: int, key: str) -> None:
    wait = retry_at(attempts, 0.0, None, key)
    assert wait == retry_at(attempts, 0.0, None, key)
    full = min(5.0 * 2 ** min(max(attempts - 1, 0), 30), 3600.0)
    assert full * 0.75 <= wait <= full


@given(st.integers(1, 30), st.floats(0, 86400), st.text(max_size=20))
def test_never_sooner_than_the_far_side_asked(attempts: int, after_seconds: float, key: str) -> None:
    wait = retry_at(attempts, 1000.0, after_seconds, key) - 1000.0
    assert wait >= after_seconds - 1e-6
    assert wait <= max(after_seconds * 1.25, 3600.0) + 1e-6


def test_jobs_that_failed_together_come_back_apart() -> None:
    assert len({round(retry_at(1, 0.0, 15.0, str(key)), 3) for key in range(100)}) > 90


def test_a_parcel_tells_its_exchange() -> None:
    given = {"text": {"raw": "hello"}, "metadata": {"headers": {"traceparent": "00-1"}}}
    details = {"started_at": 5.0, "latency_seconds": 0.25, "status": 200, "sample_exchanges": 0.5}
    made = parcel(Data(text=Text("posted")))._replace(
        given_wire=orjson.dumps(given),
        output_wire=b'{"text": {"raw": "answer"}}',
        details_wire=orjson.dumps({**details, "pre_queue_random_sample": 0.1}).decode(),
    )
    assert made.given().text == Text("hello")
    assert made.output() == Data(text=Text("answer"))
    told = made.details()
    assert told == Details(5.0, 0.25, 200, 0.5, 0.1, {"traceparent": "00-1"})
    assert told.sampling_rate == pytest.approx(0.05)


def test_a_parcel_of_an_older_queue_tells_what_it_can() -> None:
    made = parcel(Data(text=Text("posted")))._replace(created_at=7.0)
    assert made.output() is None
    assert made.details() == Details(7.0, 0.0, 0, 1.0, 1.0, {})
