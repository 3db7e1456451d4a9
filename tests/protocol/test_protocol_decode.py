"""decode: whatever arrives, each input is there once, and what cannot be read is kept raw and said."""

from __future__ import annotations

import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exchanges import gzipped, predict

from sidecar.data import Concept, Raw, to_wire
from sidecar.exchange import Exchange, Head, read_head
from sidecar.protocol.call import MAX_INPUTS, Call, Side, UndecodedError
from sidecar.protocol.content import parse_json, unpack
from sidecar.protocol.decode import decode
from sidecar.protocol.routes import Route, recognise

TARGETS = {
    "tensorflow": "/v1/models/digits:predict",
    "openinference": "/v2/models/digits/infer",
    "clarifai": "/v2/users/u/apps/a/models/digits/outputs",
}
REQUEST = {"instances": [[1.0, 2.0], [3.0, 4.0]]}
ANSWER = {"predictions": [[0.9, 0.1], [0.2, 0.8]]}


def read(exchange: Exchange, metadata: dict[str, Any] | None = None, **limits: int) -> Call:
    request, response = exchange.request, exchange.response
    head = read_head(request.head)
    route = recognise(b"POST", head.target.encode())
    assert route is not None
    answer = None if response is None else Side(read_head(response.head), response.body, exchange.response_is_whole)

    def describe(version: str) -> dict[str, Any]:
        return {**metadata, "version": version} if metadata else {}

    return decode(route, Side(head, request.body), answer, describe, **limits)


def test_outputs_stand_beside_their_inputs() -> None:
    call = read(predict(TARGETS["tensorflow"], REQUEST, ANSWER))
    assert [data.tensors[0].value for data in call.inputs] == [[1.0, 2.0], [3.0, 4.0]]
    assert [output and output.top_concept() for output in call.outputs] == [Concept("0", 0.9), Concept("1", 0.8)]
    assert (call.error, call.output_error) == ("", "")


@pytest.mark.parametrize(
    ("given_answer", "why"),
    [
        ({"status": 503}, "status 503"),
        ({"has_answer": False}, "no answer"),
        ({"is_whole": False}, "the answer was cut short"),
        ({"answer": b"{"}, "cannot be read: not JSON"),
        ({"answer": {"error": "x"}}, "cannot be read: predictions: must be a list"),
        ({"answer": {"predictions": [[1.0]]}}, "1 outputs for 2 inputs"),
        ({"answer_headers": {"Content-Encoding": "br"}}, "'br' is not gzip or deflate"),
    ],
)
def test_without_a_readable_answer_inputs_stay_and_outputs_are_none(given_answer: dict[str, Any], why: str) -> None:
    call = read(predict(TARGETS["tensorflow"], REQUEST, **{"answer": ANSWER, **given_answer}))
    assert len(call.inputs) == 2
    assert call.outputs == (None, None)
    assert why in call.output_error
    assert call.error == ""


@pytest.mark.parametrize(
    ("request_body", "headers", "why"),
    [
        (b"\x00\x01", {}, "not JSON"),
        (b"[" * 5000 + b"]" * 5000, {}, "not JSON"),
        (b'{"instances": ' + b"[" * 200 + b"]" * 200 + b"}", {}, "nested deeper than 100"),
        (REQUEST, {"Content-Encoding": "zstd"}, "'zstd' is not gzip or deflate"),
        (REQUEST, {"Content-Encoding": "gzip"}, "not gzip"),
        (REQUEST, {"Content-Encoding": "gzip,gzip,gzip,gzip"}, "4 codings, more than 3"),
        ({"instances": [0] * (MAX_INPUTS + 1)}, {}, f"more than {MAX_INPUTS}"),
        (REQUEST, {"Inference-Header-Content-Length": "20"}, "binary tensor extension"),
    ],
)
def test_an_undecoded_request_is_one_raw_input(request_body: object, headers: dict[str, str], why: str) -> None:
    exchange = predict(TARGETS["tensorflow"], request_body, {"predictions": [[0.9, 0.1]]}, headers=headers)
    call = read(exchange, {"caller": "alice"})
    assert [data.raw for data in call.inputs] == [Raw(exchange.request.body, "application/json")]
    assert call.inputs[0].metadata["caller"] == "alice"
    assert why in call.error
    assert len(call.outputs) == 1


def test_gzip_and_deflate_are_taken_off_the_copy() -> None:
    raw_deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bodies = {
        "gzip": gzipped(REQUEST),
        "deflate": zlib.compress(orjson.dumps(REQUEST)),
        "Deflate, gzip": _gzip(zlib.compress(orjson.dumps(REQUEST))),
        "deflate, identity": raw_deflate.compress(orjson.dumps(REQUEST)) + raw_deflate.flush(),
    }
    for coding, body in bodies.items():
        exchange = predict(
            TARGETS["tensorflow"],
            body,
            gzipped(ANSWER),
            headers={"Content-Encoding": coding},
            answer_headers={"Content-Encoding": "gzip"},
        )
        call = read(exchange)
        assert (len(call.inputs), call.error, call.output_error) == (2, "", ""), coding


def _gzip(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_kept_packed(coding: str) -> None:
    bomb = _gzip(b"0" * 2**20) if coding == "gzip" else zlib.compress(b"0" * 2**20)
    head = Head(("", "", ""), (("content-encoding", coding),))
    with pytest.raises(UndecodedError, match="more than 4096 bytes"):
        unpack(bomb, head, 4096)
    assert len(unpack(bomb, head, 2**20)) == 2**20
    with pytest.raises(UndecodedError, match=f"not {coding}"):
        unpack(bomb[:-9], head, 2**20)
    call = read(predict(TARGETS["clarifai"], bomb, headers={"Content-Encoding": coding}), limit_bytes=4096)
    assert call.inputs[0].raw == Raw(bomb, "application/json")


def test_nan_is_read_as_null_outside_strings_only() -> None:
    value = parse_json(b'{"a": [NaN, -Infinity, 1], "say \\"NaN": "NaN", "b": Infinity}')
    assert value == {"a": [None, None, 1], 'say "NaN': "NaN", "b": None}
    with pytest.raises(UndecodedError):
        parse_json(b"[NaN, Nan]")


def test_the_version_is_the_paths_else_the_answers() -> None:
    answer = {"model_version": "7", "outputs": [{"name": "o", "datatype": "FP32", "shape": [1, 1], "data": [0.5]}]}
    request = {"inputs": [{"name": "i", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}]}
    for target, version in (("/v2/models/m/infer", "7"), ("/v2/models/m/versions/3/infer", "3")):
        call = read(predict(target, request, answer), {"version": ""})
        assert call.version == version
        assert call.inputs[0].metadata == {"version": version}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["instances", "inputs", "outputs", "data", "shape", "name", "b64", "image", "base64", "concepts",
                 "regions", "region_info", "bounding_box", "tensors", "value", "metadata", "datatype", "status", ""]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)  # fmt: skip
NAMES = {
    "tensorflow": (["instances", "inputs", "examples"], ["predictions", "outputs", "results"]),
    "openinference": (["inputs"], ["outputs"]),
    "clarifai": (["inputs"], ["outputs"]),
}


@given(st.data())
def test_json_of_any_shape_never_raises_and_always_pairs(data: st.DataObject) -> None:
    protocol = data.draw(st.sampled_from(sorted(TARGETS)))
    names, answers = NAMES[protocol]
    request = {data.draw(st.sampled_from(names)): data.draw(json_values)}
    answer = {data.draw(st.sampled_from(answers)): data.draw(json_values)}
    call = read(predict(TARGETS[protocol], request, answer), {"version": ""})
    assert len(call.inputs) == len(call.outputs)
    if call.error:
        assert [given_data.raw is not None for given_data in call.inputs] == [True]
    for decoded in (*call.inputs, *filter(None, call.outputs)):
        orjson.dumps(to_wire(decoded))


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "x"]))
def test_bytes_of_any_kind_never_raise(request: bytes, answer: bytes, coding: str) -> None:
    head = Head(("POST", "", ""), (("content-encoding", coding),) if coding else ())
    status = Head(("HTTP/1.1", "200", "OK"), head.headers)
    for protocol in TARGETS:
        call = decode(Route(protocol, "m"), Side(head, request), Side(status, answer))
        assert len(call.inputs) == len(call.outputs)
        if call.error:
            assert call.inputs[0].raw is not None
            assert coding or call.inputs[0].raw == Raw(request)
