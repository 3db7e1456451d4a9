"""Collected rows, read: both shapes, concepts of prediction columns, and what is kept raw."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sidecar.data import Concept, Data, Tensor, Text
from sidecar.errors import PermanentError
from sidecar.exchange import Head
from sidecar.protocol.call import MAX_INPUTS, Call, Side
from sidecar.protocol.decode import decode
from sidecar.protocol.registry import PROTOCOLS
from sidecar.protocol.routes import Route

JSON = (("content-type", "application/json"),)


def read(inputs: object, predictions: object = None) -> Call:
    answer = None if predictions is None else Side(Head(("HTTP/1.1", "200", "OK"), JSON), orjson.dumps(predictions))
    body = inputs if isinstance(inputs, bytes) else orjson.dumps(inputs)
    return decode(Route("rows", "m"), Side(Head(("POST", "", ""), JSON), body), answer)


@pytest.mark.parametrize(
    "body", [[{"a": 1, "b": None}, {"a": 2, "b": "x"}], {"columns": ["a", "b"], "rows": [[1, None], [2, "x"]]}]
)
def test_both_shapes_are_the_same_rows(body: object) -> None:
    call = read(body)
    assert call.error == ""
    assert list(call.inputs) == [
        Data(tensors=(Tensor(1, "a"), Tensor(None, "b"))), Data(tensors=(Tensor(2, "a"), Tensor("x", "b"))),
    ]  # fmt: skip


def test_a_lone_text_is_text_too() -> None:
    assert read([{"review": "good"}]).inputs[0].text == Text("good")
    assert read([{"review": "good", "stars": 5}]).inputs[0].text is None


@pytest.mark.parametrize(
    ("row", "concepts"),
    [
        ({"cat": 0.9, "dog": 0.1}, (Concept("cat", 0.9), Concept("dog", 0.1))),
        ({"label": "cat", "cat": 0.9, "dog": 0.1}, (Concept("cat", 0.9), Concept("dog", 0.1))),
        ({"p": 0.75}, (Concept("0", 0.75),)),
        ({"scores": [0.5, 0.5], "n": 3}, (Concept("0", 0.5), Concept("1", 0.5))),
        ({"price": 0.3, "tax": 0.2}, ()),
        ({"class": 1}, ()),
    ],
)
def test_concepts_of_what_a_model_answered(row: dict[str, Any], concepts: tuple[Concept, ...]) -> None:
    output = read([{"a": 1}], [row]).outputs[0]
    assert output is not None
    assert output.concepts == concepts


@pytest.mark.parametrize(
    "body",
    [b"   a\n0  1", b"", b"7", [1], {"columns": ["a"]}, {"columns": ["a"], "rows": [[1, 2]]}, {"rows": []},
     {"columns": ["a"], "rows": [1]}, [{"a": 1}] * (MAX_INPUTS + 1)],
)  # fmt: skip
def test_anything_else_is_one_raw_input(body: object) -> None:
    call = read(body)
    assert call.error
    assert len(call.inputs) == 1
    assert call.inputs[0].raw is not None


def test_as_many_predictions_as_inputs_or_none() -> None:
    assert read([{"a": 1}, {"a": 2}], [{"p": 0.5}]).output_error == "1 outputs for 2 inputs"
    assert len(read([], []).inputs) == 0


def test_rows_are_written_as_they_were_read() -> None:
    rows = [{"a": 1, "b": "x"}]
    write = PROTOCOLS["rows"].write_request
    assert write(list(read(rows).inputs)) == rows
    with pytest.raises(PermanentError):
        write([Data(text=Text("x"))])
