"""CloudEvents as a real server reads them with the SDK, and what people write to send them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cloudevents.core.base import BaseCloudEvent
from contract.parcels import STARTED_AT, TRACEPARENT, parcel
from support.certificates import Authority
from support.clock import FakeClock
from support.event_sink import EventSink, answering, event_sink

from sidecar.collector import Destination
from sidecar.data import Concept, Data, Media, Raw, Region, Tensor, Text, to_wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.registry import Parts, check_options, new_session, open_destination
from sidecar.errors import ConfigurationError
from sidecar.store.database import Database, sqlite_url

REFERENCE = "key-" + "0" * 24


async def secret_of(reference: str) -> str | None:
    return "the-token" if reference == REFERENCE else None


async def no_sleep(_seconds: float) -> None:
    """The quick tries follow at once."""


@pytest.fixture
async def sink() -> AsyncIterator[EventSink]:
    async with event_sink() as sink:
        yield sink


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with Database(sqlite_url(tmp_path)) as database, new_session() as session:
        yield Parts(database, session, secret_of, FakeClock(), no_sleep)


async def post(parts: Parts, url: str, *parcels: Parcel, **options: Any) -> list[Outcome]:
    return await open_destination(Destination("cloudevents", {"url": url, **options}), parts).deliver(parcels)


ATTRIBUTES = {
    "specversion": "1.0",
    "source": "/collectors/watch",
    "type": "sidecar.input",
    "subject": "digits/1",
    "time": datetime.fromtimestamp(STARTED_AT, UTC),
    "datacontenttype": "application/json",
    "collector": "watch",
    "caller": "alice",
    "model": "digits",
    "modelversion": "1",
    "latencyms": "12.500",
    "samplingrate": "0.1",
    "traceparent": TRACEPARENT,
}
NUMBERS = {"inputindex": 0, "httpstatus": 200, "sampledrate": 10}


@pytest.mark.parametrize("mode", ["binary", "structured", "batched"])
async def test_an_event_tells_all_of_its_exchange(sink: EventSink, parts: Parts, mode: str) -> None:
    sent = parcel("a")
    assert await post(parts, sink.url, sent, mode=mode) == [Delivered()]
    (event,) = sink.events()
    numbers = {name: str(value) for name, value in NUMBERS.items()} if mode == "binary" else NUMBERS
    assert event.get_attributes() == ATTRIBUTES | numbers | {"id": sent.input_id, "exchangeid": sent.exchange_id}
    assert event.get_data() == {"input": to_wire(sent.data), "output": {"concepts": [CAT]}}


CAT = {"id": "cat", "name": "cat", "value": 0.75}


async def test_what_is_blank_is_left_out(sink: EventSink, parts: Parts) -> None:
    sent = parcel("a", Data(text=Text("plain")))._replace(caller="", version="", output_wire=None)
    await post(parts, sink.url, sent, source="urn:mine", type="org.example.kept")
    (event,) = sink.events()
    told = event.get_attributes()
    assert not {"caller", "modelversion", "traceparent", "tracestate"} & set(told)
    assert (told["source"], told["type"], told["subject"]) == ("urn:mine", "org.example.kept", "digits")
    assert event.get_data() == {"input": {"text": {"raw": "plain"}}}


async def test_the_output_stays_at_home_on_request(sink: EventSink, parts: Parts) -> None:
    await post(parts, sink.url, parcel("a"), with_output=False)
    (event,) = sink.events()
    assert set(event.get_data() or ()) == {"input"}


async def test_what_no_header_can_carry_arrives_all_the_same(sink: EventSink, parts: Parts) -> None:
    odd = 'Zoë "%"\r\nce-type: x'
    await post(parts, sink.url, parcel("a")._replace(caller=odd))
    (event,) = sink.events()
    assert (event.get_extension("caller"), event.get_type()) == (odd, "sidecar.input")


async def test_a_trace_that_is_none_is_not_passed_on(sink: EventSink, parts: Parts) -> None:
    data = Data(metadata={"headers": {"traceparent": "nonsense", "tracestate": "a=1"}})
    await post(parts, sink.url, parcel("a", data))
    assert not {"traceparent", "tracestate"} & set(sink.events()[0].get_attributes())


async def test_a_batch_is_one_request_within_its_bounds(sink: EventSink, parts: Parts) -> None:
    sent = [parcel(name) for name in "abcde"]
    await post(parts, sink.url, *sent, mode="batched")
    assert len(sink.posted) == 1
    sink.posted.clear()
    size = len(orjson.dumps(to_wire(sent[0].data)))
    await post(parts, sink.url, *sent, mode="batched", max_batch_bytes=3 * size)
    assert len(sink.posted) == 5
    assert len(sink.stored) == 5


async def test_a_redirect_is_not_followed_and_a_token_not_carried_away(sink: EventSink, parts: Parts) -> None:
    sink.script.append(answering(307, {"Location": sink.url}))
    outcomes = await post(parts, sink.url, parcel("a"), token=REFERENCE)
    assert outcomes == [Rejected("http_307", "HTTP 307: scripted")]
    assert [message.headers["authorization"] for message in sink.posted] == ["Bearer the-token"]


async def test_retry_after_is_honoured(sink: EventSink, parts: Parts) -> None:
    sink.standing = answering(503, {"Retry-After": "7"})
    assert await post(parts, sink.url, parcel("a")) == [Retry("http_503", "HTTP 503: scripted", 7.0)]


async def test_without_its_token_nothing_is_posted(sink: EventSink, parts: Parts, tmp_path: Path) -> None:
    for token in ({"file": str(tmp_path / "none")}, "key-" + "1" * 24):
        (outcome,) = await post(parts, sink.url, parcel("a"), token=token)
        assert isinstance(outcome, Retry | Rejected)
    assert sink.posted == []


def body(event: BaseCloudEvent) -> Any:
    return event.get_data()


async def pair(sink: EventSink, parts: Parts, given: Data, output: Data, **more: Any) -> list[BaseCloudEvent]:
    sent = parcel("a", given)._replace(output_wire=orjson.dumps(to_wire(output)))
    assert await post(parts, sink.url, sent, mode="kserve", **more) == [Delivered()]
    return sink.events()


async def test_a_pair_is_what_kserves_readers_look_for(sink: EventSink, parts: Parts) -> None:
    given = Data(tensors=(Tensor([6.8, 2.8]),), metadata={"headers": {"x-request-id": "r1"}})
    request, response = await pair(sink, parts, given, Data(tensors=(Tensor(1),)), kserve={"namespace": "prod"})
    assert request.get_type() == "org.kubeflow.serving.inference.request"
    assert response.get_type() == "org.kubeflow.serving.inference.response"
    assert request.get_id() == response.get_id() == parcel("a").input_id
    for event in (request, response):
        told = event.get_attributes()
        assert [told[name] for name in ("inferenceservicename", "namespace", "component", "endpoint")] == [
            "digits", "prod", "predictor", "default",
        ]  # fmt: skip
        assert orjson.loads(told["metadata"]) == {"X-Request-Id": ["r1"]}
    assert body(request) == {"instances": [[6.8, 2.8]]}
    assert body(response) == {"predictions": [1]}
    assert request.get_time() == datetime.fromtimestamp(STARTED_AT, UTC)
    assert response.get_time() == datetime.fromtimestamp(STARTED_AT + 0.0125, UTC)
    assert {message.headers["content-type"] for message in sink.posted} == {"application/json"}


@pytest.mark.parametrize(
    ("given", "request_body", "output", "response_body"),
    [
        pytest.param(
            Data(tensors=(Tensor([1.0, 2.0], "x", "FP32", (2,)),)),
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]},
            Data(tensors=(Tensor([0.9], "p", "FP32", (1,)),), concepts=(Concept("0", 0.9),)),
            {"model_name": "digits", "model_version": "1",
             "outputs": [{"name": "p", "datatype": "FP32", "shape": [1, 1], "data": [0.9]}]},
            id="tensors by the Open Inference Protocol",
        ),
        pytest.param(
            Data(text=Text("hi"), tensors=(Tensor(None, "prompt", "BYTES"),)),
            {"inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": ["hi"]}]},
            Data(text=Text("ho"), tensors=(Tensor(None, "text", "BYTES"),)),
            {"model_name": "digits", "model_version": "1",
             "outputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["ho"]}]},
            id="a text by the Open Inference Protocol",
        ),
        pytest.param(
            Data(image=Media(content=b"\x89PNG"), tensors=(Tensor(None, "picture", "BYTES"), Tensor(3, "k"))),
            {"instances": [{"picture": {"b64": "iVBORw=="}, "k": 3}]},
            Data(tensors=(Tensor([0.5, 0.5], "scores"),)),
            {"predictions": [{"scores": [0.5, 0.5]}]},
            id="named fields",
        ),
        pytest.param(
            Data(image=Media(url="http://x/a.png")),
            {"instances": [{"image": {"url": "http://x/a.png"}}]},
            Data(regions=(Region(id="r", concepts=(Concept("cat", 0.75),)),)),
            {"predictions": [{"regions": [{"id": "r", "data": {"concepts": [CAT]}}]}]},
            id="what neither protocol can say",
        ),
    ],
)  # fmt: skip
async def test_bodies_are_made_anew_in_the_protocol_they_came_by(
    sink: EventSink, parts: Parts, given: Data, request_body: Any, output: Data, response_body: Any
) -> None:
    request, response = await pair(sink, parts, given, output)
    by_id = {"id": parcel("a").input_id}
    assert body(request) == (request_body | by_id if "inputs" in request_body else request_body)
    assert body(response) == (response_body | by_id if "outputs" in response_body else response_body)


async def test_a_body_that_no_protocol_decodes_goes_as_it_was(sink: EventSink, parts: Parts) -> None:
    given = Data(raw=Raw(b"\x00\xff", "application/x-own"))
    await pair(sink, parts, given, Data(text=Text("t")))
    assert (sink.posted[0].body, sink.posted[0].headers["content-type"]) == (b"\x00\xff", "application/x-own")


@pytest.mark.parametrize(
    "change", [{"output_wire": None}, {"details_wire": '{"status": 500}'}, {"details_wire": '{"status": 0}'}]
)
async def test_as_with_kserve_only_an_answer_with_200_is_a_response(
    sink: EventSink, parts: Parts, change: dict[str, Any]
) -> None:
    assert await post(parts, sink.url, parcel("a")._replace(**change), mode="kserve") == [Delivered()]
    assert [event.get_type() for event in sink.events()] == ["org.kubeflow.serving.inference.request"]


async def test_half_a_pair_is_sent_again_whole_under_the_same_id(sink: EventSink, parts: Parts) -> None:
    sink.script.extend((sink.take, answering(429)))
    (outcome,) = await post(parts, sink.url, parcel("a"), mode="kserve")
    assert isinstance(outcome, Retry)
    assert await post(parts, sink.url, parcel("a"), mode="kserve") == [Delivered()]
    assert len(sink.posted) == 4
    assert {message.headers["ce-id"] for message in sink.posted} == {parcel("a").input_id}


async def test_tls_with_an_authority_and_a_client_certificate_of_ones_own(tmp_path: Path, parts: Parts) -> None:
    authority = Authority(tmp_path)
    listening = authority.server(authority.sign("sink", "127.0.0.1"), needs_client=True)
    client = authority.sign("client")
    files = {"ca_file": str(authority.path), "certificate_file": str(client.cert), "key_file": str(client.key)}
    async with event_sink(listening) as sink:
        assert await post(parts, sink.url, parcel("a"), **files) == [Delivered()]
        stranger = await post(parts, sink.url, parcel("b"))
        assert isinstance(stranger[0], Retry)
        assert stranger[0].reason == "unreachable"


async def test_a_renewed_certificate_just_works(tmp_path: Path, parts: Parts) -> None:
    authority = Authority(tmp_path)
    listening = authority.server(authority.sign("sink", "127.0.0.1"))
    trusted = tmp_path / "trusted.pem"
    async with event_sink(listening) as sink:
        options = {"url": sink.url, "ca_file": str(trusted)}
        destination = open_destination(Destination("cloudevents", options), parts)
        (missing,) = await destination.deliver([parcel("a")])
        assert missing == Retry("certificate_unreadable", f"{trusted}: No such file or directory")
        trusted.write_text("no certificate")
        (unusable,) = await destination.deliver([parcel("a")])
        assert isinstance(unusable, Retry)
        assert unusable.reason == "certificate_unreadable"
        trusted.write_bytes(authority.path.read_bytes())
        assert await destination.deliver([parcel("a")]) == [Delivered()]


def problems(**options: Any) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        check_options(Destination("cloudevents", options))
    return {
        problem.field.removeprefix("destination.cloudevents."): problem.message for problem in caught.value.problems
    }


def test_every_fault_of_the_options_is_named() -> None:
    found = problems(url="http://me:s3cret@x/", mode="text", token="s3cret", kserve={"name": "x"}, timeout_seconds=0)
    assert set(found) == {"url", "mode", "token", "kserve.name", "timeout_seconds"}
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kserve": {}}, "mode: kserve"),
        ({"mode": "kserve", "type": "x"}, "decides type"),
        ({"key_file": "k"}, "certificate_file"),
        ({"ca_file": "c"}, "https"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, Any], why: str) -> None:
    assert why in str(problems(url="http://host/path", **options))


def test_without_the_extra_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudevents", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'collector-sidecar\[cloudevents\]'"):
        check_options(Destination("cloudevents", {"url": "http://host/"}))
