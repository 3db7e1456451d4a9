"""Each protocol's shapes: what becomes an input, what becomes concepts, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.data import Concept, Data, Embedding, Media, Raw, Tensor, Text, from_wire, to_wire
from sidecar.errors import PermanentError
from sidecar.protocol import clarifai, openinference, tensorflow
from sidecar.protocol.call import UndecodedError
from sidecar.protocol.concepts import concepts_of
from sidecar.protocol.registry import PROTOCOLS
from sidecar.protocol.stand_in import to_base64

PNG = b"\x89PNG\r\n\x1a\n rest"
WAV = b"RIFF1234WAVEfmt "


def column(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def encode_request(protocol: str, inputs: Sequence[Data]) -> bytes:
    return orjson.dumps(PROTOCOLS[protocol].write_request(inputs))


def pairs(concepts: tuple[Concept, ...]) -> dict[str, float]:
    return {concept.id: concept.value for concept in concepts}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([0.25, 0.75], {"0": 0.25, "1": 0.75}),
        ([1, 0], {"0": 1, "1": 0}),
        ([0.4, 0.5995], {"0": 0.4, "1": 0.5995}),
        (0.3, {"0": 0.3}),
        ([0.3], {"0": 0.3}),
        ([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}], {"cat": 0.9, "dog": 0.1}),
        ({"label": "cat", "score": 0.9}, {"cat": 0.9}),
        ([["cat", 0.9], ["dog", 0.1]], {"cat": 0.9, "dog": 0.1}),
        ([0.4, 0.598], {}),
        ([1.5, -0.5], {}),
        ([True, False], {}),
        ([None, 1.0], {}),
        (1, {}),
        ([1], {}),
        (1.01, {}),
        ([["cat", 9]], {}),
        ([[0.5, 0.5]], {}),
        ([], {}),
        ("0.5", {}),
    ],
)
def test_when_numbers_are_probabilities(value: object, expected: dict[str, float]) -> None:
    assert pairs(concepts_of(value)) == expected


def test_tensorflow_columns_and_examples() -> None:
    split = tensorflow.read_inputs({"inputs": {"a": [1, 2], "b": ["x", "y"]}}, dict)
    assert [data.tensors for data in split] == [
        (Tensor(1, "a"), Tensor("x", "b")),
        (Tensor(2, "a"), Tensor("y", "b")),
    ]
    (whole,) = tensorflow.read_inputs({"inputs": {"a": [1, 2], "b": [3]}}, dict)
    assert whole.tensors == (Tensor([1, 2], "a"), Tensor([3], "b"))
    (example,) = tensorflow.read_inputs({"examples": [{"x": 1}], "context": {"x": 0, "y": 2}}, lambda: {"caller": "a"})
    assert {tensor.name: tensor.value for tensor in example.tensors} == {"x": 1, "y": 2}
    assert example.metadata == {"caller": "a"}
    with pytest.raises(UndecodedError, match="instances: must be a list"):
        tensorflow.read_inputs({"instances": 3}, dict)


def test_tensorflow_bytes_go_where_their_first_bytes_say() -> None:
    wav, unknown = {"b64": to_base64(WAV)}, {"b64": to_base64(b"??")}
    data = tensorflow.read_inputs(
        {"instances": [{"b64": to_base64(PNG)}, {"sound": wav, "more": unknown}, "said", {"b64": "no base64!"}]}, dict
    )
    assert data[0].image == Media(PNG, media_type="image/png")
    assert data[1].audio == Media(WAV, media_type="audio/wav")
    assert data[1].tensors == (Tensor(None, "sound", "BYTES"), Tensor(b"??", "more", "BYTES"))
    assert data[2].text == Text("said")
    assert data[3].tensors == (Tensor("no base64!", "b64"),)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"predictions": [[0.1, 0.9]]}, {"0": 0.1, "1": 0.9}),
        ({"predictions": [{"loss": 0.5, "probabilities": [0.1, 0.9]}]}, {"0": 0.1, "1": 0.9}),
        ({"predictions": [{"loss": 0.5, "class": 3}]}, {}),
        ({"predictions": [{"certainty": 0.5}]}, {"0": 0.5}),
        ({"outputs": [[0.1, 0.9]]}, {"0": 0.1, "1": 0.9}),
        ({"outputs": {"p": [[0.1, 0.9]]}}, {"0": 0.1, "1": 0.9}),
        ({"outputs": [0.1, 0.9]}, {"0": 0.1, "1": 0.9}),
        ({"results": [[["cat", 0.9], ["dog", 0.2]]]}, {"cat": 0.9, "dog": 0.2}),
        ({"results": [0.5]}, {"0": 0.5}),
        ({"predictions": [[2.5, -1.0]]}, {}),
    ],
)
def test_tensorflow_answers(answer: dict[str, Any], expected: dict[str, float]) -> None:
    (output,) = tensorflow.read_outputs(answer, 1)
    assert pairs(output.concepts) == expected
    assert not output.is_empty


numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=6)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
b64 = st.builds(lambda content: {"b64": to_base64(content)}, st.binary(max_size=12) | st.just(PNG) | st.just(WAV))
objects = st.dictionaries(st.text(max_size=4), values | b64 | st.dictionaries(st.text(max_size=2), values, max_size=2))


@given(st.lists(values | b64 | objects, max_size=4))
def test_a_tensorflow_input_writes_the_instance_it_was(instances: list[Any]) -> None:
    inputs = tensorflow.read_inputs({"instances": instances}, lambda: {"caller": "alice"})
    assert orjson.loads(encode_request("tensorflow", inputs)) == {"instances": instances}
    stored = [from_wire(orjson.loads(orjson.dumps(to_wire(data)))) for data in inputs]
    assert [data.metadata for data in stored] == [{"caller": "alice"}] * len(instances)


def test_a_stored_tensorflow_input_still_writes_the_instance_it_was() -> None:
    instances = [{"picture": {"b64": to_base64(PNG)}, "size": [2, 3]}, {"b64": to_base64(b"??")}, "said", [1.5]]
    inputs = tensorflow.read_inputs({"instances": instances}, dict)
    stored = [from_wire(orjson.loads(orjson.dumps(to_wire(data)))) for data in inputs]
    assert tensorflow.write_request(stored) == {"instances": instances}


def test_openinference_splits_along_a_shared_first_axis_only() -> None:
    flat, nested = column("a", "FP32", [2, 2], [1, 2, 3, 4]), column("b", "INT64", [2, 1], [[5], [6]])
    first, second = openinference.read_inputs({"inputs": [flat, nested]}, lambda: {"caller": "x"})
    assert first.tensors == (Tensor([1, 2], "a", "FP32", (2,)), Tensor([5], "b", "INT64", (1,)))
    assert second.tensors == (Tensor([3, 4], "a", "FP32", (2,)), Tensor([6], "b", "INT64", (1,)))
    assert second.metadata == {"caller": "x"}
    (whole,) = openinference.read_inputs({"inputs": [flat, column("c", "FP32", [3], [1, 2, 3])]}, dict)
    assert [tensor.shape for tensor in whole.tensors] == [(2, 2), (3,)]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ([], "holds no tensor"),
        ([3], r"inputs\[0\]: must be an object"),
        ([{"name": "a"}], "name and datatype"),
        ([column("a", "FP32", [2, 2], [1, 2, 3])], r"3 values do not fill shape \[2, 2\]"),
        ([column("a", "FP32", [-1], [1])], r"inputs\[0\].shape"),
        ([{"name": "a", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}], r"inputs\[0\].data"),
        ([column("a", "FP32", [10**9, 0], [])], "a batch of 1000000000"),
    ],
)
def test_openinference_says_what_is_wrong(inputs: list[Any], why: str) -> None:
    with pytest.raises(UndecodedError, match=why):
        openinference.read_inputs({"inputs": inputs}, dict)


@pytest.mark.parametrize(
    ("outputs", "count", "expected"),
    [
        ([column("p", "FP32", [2, 2], [0.1, 0.9, 0.8, 0.2])], 2, [{"0": 0.1, "1": 0.9}, {"0": 0.8, "1": 0.2}]),
        ([column("c", "INT64", [1], [1]), column("p", "FP64", [1, 2], [0.1, 0.9])], 1, [{"0": 0.1, "1": 0.9}]),
        ([column("p", "FP32", [2], [0.1, 0.9])], 1, [{"0": 0.1, "1": 0.9}]),
        ([column("c", "INT64", [1, 2], [0, 1])], 1, [{}]),
        ([column("p", "BYTES", [1, 2], ["0.9:4:cat", "0.1:2"])], 1, [{"4": 0.9, "2": 0.1}]),
        ([column("p", "FP32", [1, 2, 2], [0.25, 0.25, 0.25, 0.25])], 1, [{}]),
    ],
)
def test_openinference_answers(outputs: list[Any], count: int, expected: list[dict[str, float]]) -> None:
    read = openinference.read_outputs({"outputs": outputs}, count)
    assert [pairs(output.concepts) for output in read] == expected


@given(st.integers(1, 4), st.sampled_from([(), (3,), (2, 2)]), st.booleans())
def test_an_openinference_batch_writes_the_request_it_was(count: int, shape: tuple[int, ...], has_text: bool) -> None:
    size = 1
    for length in shape:
        size *= length
    columns = [column("a", "FP32", [count, *shape], [float(n) for n in range(count * size)])]
    if has_text:
        columns.append(column("t", "BYTES", [count], [str(n) for n in range(count)]))
    request = {"inputs": columns}
    assert orjson.loads(encode_request("openinference", openinference.read_inputs(request, dict))) == request


def test_openinference_text_is_text_both_ways() -> None:
    request = {"inputs": [column("prompt", "BYTES", [2, 1], ["one", "two"])]}
    inputs = openinference.read_inputs(request, dict)
    assert [data.text for data in inputs] == [Text("one"), Text("two")]
    assert openinference.write_request(inputs) == request
    assert tensorflow.write_request(inputs) == {"instances": [{"prompt": "one"}, {"prompt": "two"}]}
    assert openinference.write_request([Data(text=Text("hi"))])["inputs"][0]["data"] == ["hi"]


def test_a_tensorflow_input_can_be_asked_of_an_openinference_model() -> None:
    request = openinference.write_request([Data(tensors=(Tensor([[1, 2], [3, 4]]),))])
    assert request == {"inputs": [column("input-0", "FP64", [1, 2, 2], [1, 2, 3, 4])]}


def test_clarifai_inputs_keep_their_own_metadata_beside_ours() -> None:
    own = {"caller": "forged", "colour": "red"}
    items = [{"data": {"text": {"raw": "hi"}, "metadata": own}}, {"data": {"image": {"base64": to_base64(PNG)}}}]
    first, second = clarifai.read_inputs({"inputs": items}, lambda: {"caller": "alice"})
    assert first.metadata == {"caller": "alice", "colour": "red", "client": {"caller": "forged"}}
    assert second.metadata == {"caller": "alice"}
    assert second.image == Media(PNG, media_type="image/png")
    assert clarifai.write_request([first]) == {"inputs": [{"data": {"text": {"raw": "hi"}}}]}


def test_clarifai_outputs_that_failed_are_none() -> None:
    answer = {
        "outputs": [
            {"status": {"code": 10000}, "model": {"model_version": {"id": "v9"}},
             "data": {"concepts": [{"id": "cat", "value": 0}]}},
            {"status": {"code": 21200}},
        ]
    }  # fmt: skip
    assert clarifai.read_outputs(answer, 2) == (Data(concepts=(Concept("cat", 0.0),)), None)
    assert clarifai.read_version(answer) == "v9"
    with pytest.raises(UndecodedError, match=r"inputs\[0\].data.text: must be an object, not int"):
        clarifai.read_inputs({"inputs": [{"data": {"text": 3}}]}, dict)


@pytest.mark.parametrize("protocol", ["tensorflow", "openinference"])
@pytest.mark.parametrize("data", [Data(), Data(image=Media(url="http://x")), Data(embeddings=(Embedding((1.0,)),))])
def test_what_a_protocol_cannot_carry_is_refused(protocol: str, data: Data) -> None:
    with pytest.raises(PermanentError, match="this input has none"):
        encode_request(protocol, [data])


def test_openinference_refuses_bytes_and_unlike_rows() -> None:
    with pytest.raises(PermanentError, match="this input has none"):
        encode_request("openinference", [Data(raw=Raw(b"x"), tensors=(Tensor(None, "x", "BYTES"),))])
    with pytest.raises(PermanentError, match="must share"):
        encode_request("openinference", [Data(tensors=(Tensor(1.0),)), Data(tensors=(Tensor([1.0]),))])
