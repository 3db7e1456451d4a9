"""Record files: each format is read into the same exchanges, and what cannot be read is named and passed over."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exchanges import predict
from support.records import ARRIVALS, recorded, write_record

from sidecar.backtest.sources import decoded
from sidecar.data import Data, Tensor, Text
from sidecar.errors import ConfigurationError, Problem
from sidecar.exchange import Exchange
from sidecar.protocol.call import Call
from sidecar.records.exchanges import read_exchange, write_exchange
from sidecar.records.files import read_records, record_files
from sidecar.records.recorded import Recorded


def read(path: Path) -> list[Recorded | Exchange | Problem]:
    return list(read_records(record_files(path)))


def lines(path: Path, *documents: Any) -> Path:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in documents))
    return path


def exchanges(path: Path) -> list[Recorded]:
    found = read(path)
    assert all(isinstance(each, Recorded) for each in found), found
    return [each for each in found if isinstance(each, Recorded)]


def values_of(data: Data | None) -> list[Any]:
    return [] if data is None else [tensor.value for tensor in data.tensors]


def test_an_exchange_comes_back_from_our_lines_as_it_was(tmp_path: Path) -> None:
    first, refused = recorded(1, [0.9, 0.1], [0.5, 0.5]), recorded(2, [0.5, 0.5])
    refused = refused._replace(call=refused.call._replace(outputs=(None,), output_error="status 500"))
    raw = decoded(predict("/v2/models/m/versions/3/infer", b"\x00\xff", status=500), ARRIVALS)
    assert raw is not None
    sampled = recorded(3, [1.0])._replace(sample_exchanges=0.5, sample_inputs=0.25, collector="kept", first_index=4)
    path = write_record(tmp_path / "a.jsonl", [first, refused, raw, sampled])
    for before, after in zip([first, refused, raw, sampled], exchanges(path), strict=True):
        assert after._replace(call=before.call) == before
        assert tuple(after.call.inputs) == tuple(before.call.inputs)
        assert [named(each) for each in after.call.outputs] == [named(each) for each in before.call.outputs]
        assert after.call[:5] == before.call[:5]
        assert after.call[7:] == before.call[7:]


def named(data: Data | None) -> Any:
    """An output with its concepts' names as they are written: the id where there is none."""
    return data and (data.tensors, data.text, [(each.id, each.value, each.name or each.id) for each in data.concepts])


def test_no_credential_is_in_our_lines() -> None:
    line = write_exchange(recorded(1, [0.9, 0.1]))
    assert b"request-1" in line
    assert b"of-somebody" not in line


METADATA = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2)


@given(st.lists(st.tuples(st.text(max_size=5), METADATA), min_size=1, max_size=4))
def test_each_input_keeps_its_own_metadata(items: list[tuple[str, dict[str, str]]]) -> None:
    inputs = tuple(Data(text=Text(f"x{text}"), metadata=metadata) for text, metadata in items)
    call = Call("tensorflow", "m", "", "", "", inputs, (None,) * len(inputs))
    again = read_exchange(json.loads(write_exchange(Recorded(bytes(16), 1.0, 0.0, "", call))))
    assert [each.text for each in again.call.inputs] == [each.text for each in inputs]
    assert [each.metadata for each in again.call.inputs] == [metadata for _, metadata in items]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": "1234"}, "id: must be 32 hexadecimal digits"),
        ({"outputs": []}, "inputs and outputs must be lists of one length"),
        ({"started_at": "now"}, "started_at: must be a number"),
        ({"sample_exchanges": 0}, "sample_exchanges: must be above 0"),
        ({"caller": 7}, "must be texts"),
        ({"first_index": -1}, "first_index"),
        ({"metadata": []}, "metadata"),
        ({"format": "exchange/9"}, "is in no format that is known"),
    ],
)
def test_a_line_that_is_no_exchange_is_named_and_the_rest_goes_on(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    good = json.loads(write_exchange(recorded(1, [1.0])))
    path = lines(tmp_path / "calls.jsonl", good, good | change, good)
    first, problem, last = read(path)
    assert isinstance(first, Recorded)
    assert isinstance(last, Recorded)
    assert isinstance(problem, Problem)
    assert (problem.file, problem.line) == (str(path), 2)
    assert expected in problem.message


def test_a_folder_is_read_with_what_is_packed_in_it_and_without_the_rest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.jsonl.gz").write_bytes(gzip.compress(write_exchange(recorded(2, [1.0]))))
    write_record(tmp_path / "a.jsonl", [recorded(1, [1.0])])
    (tmp_path / "notes.txt").write_text("not a record")
    write_record(tmp_path / ".a.jsonl", [recorded(3, [1.0])])
    assert [each.id for each in exchanges(tmp_path)] == [recorded(1, [1.0]).id, recorded(2, [1.0]).id]
    with pytest.raises(ConfigurationError, match="is no record file and holds none"):
        record_files(tmp_path / "none")


def test_a_file_that_is_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    line = write_exchange(recorded(1, [1.0]))
    (tmp_path / "a.jsonl").write_bytes(line + line[:40])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line)[:-9])
    first, cut, *packed = read(tmp_path)
    assert isinstance(first, Recorded)
    assert isinstance(cut, Problem)
    assert (cut.line, cut.message[:11]) == (2, "is not JSON")
    assert any(isinstance(each, Problem) and "cannot be read" in each.message for each in packed)


def capture(given: Any, answer: Any, encoding: str = "JSON", kind: str = "application/json") -> dict[str, Any]:
    sides: dict[str, Any] = {"endpointInput": {"data": given, "encoding": encoding, "observedContentType": kind}}
    if answer is not None:
        sides["endpointOutput"] = {"data": answer, "encoding": encoding, "observedContentType": kind}
    event = {"eventId": "b1", "inferenceId": "trace-9", "inferenceTime": "2023-11-14T22:13:20Z"}
    return {"captureData": sides, "eventMetadata": event, "eventVersion": "0"}


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("document", "inputs", "outputs"),
    [
        (capture('{"instances": [[1], [2]]}', '{"predictions": [[0.9, 0.1], [0.2, 0.8]]}'), 2, [0.9, 0.8]),
        (capture("[[1], [2]]", "[[0.9, 0.1], [0.2, 0.8]]"), 2, [0.9, 0.8]),
        (capture("1,2\n3,4\n", "0.9,0.1\n0.3,0.7\n", "CSV", "text/csv"), 2, [0.9, 0.7]),
        (capture("[1]\n[2]\n", "[0.6, 0.4]\n[1, 0]", "JSON", "application/jsonlines"), 2, [0.6, 1.0]),
        (capture(base64_of('{"instances": [1]}'), base64_of('{"predictions": [[1.0, 0.0]]}'), "BASE64", ""), 1, [1.0]),
        (
            capture(
                '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}',
                '{"outputs": [{"name": "p", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}]}',
            ),
            1,
            [0.75],
        ),
        (capture('{"instances": [1, 2]}', None), 2, [None, None]),
        (capture("\x00", '{"predictions": [1]}'), 1, [None]),
    ],
)
def test_sagemakers_captures_are_read_by_their_shape(
    tmp_path: Path, document: Any, inputs: int, outputs: list[float | None]
) -> None:
    (found,) = exchanges(lines(tmp_path / "capture.jsonl", document))
    assert len(found.call.inputs) == inputs
    tops = [data.top_concept() if data is not None else None for data in found.call.outputs]
    assert [None if top is None else top.value for top in tops] == outputs
    assert found.started_at == 1_700_000_000.0
    assert found.call.model == ""
    assert found.call.inputs[0].metadata["headers"] == {"x-amzn-sagemaker-inference-id": "trace-9"}


def test_a_capture_that_lacks_what_each_has_is_named(tmp_path: Path) -> None:
    documents = [{"captureData": {}, "eventMetadata": {}}, capture(7, None), capture("/", None, "BASE64")]
    documents.append(capture("1", None) | {"eventMetadata": {"eventId": ""}})
    found = read(lines(tmp_path / "capture.jsonl", *documents))
    assert [isinstance(each, Problem) and each.line for each in found] == [1, 2, 3, 4]


def half(kind: str, name: str, data: Any, at: str = "2023-11-14T22:13:20Z") -> dict[str, Any]:
    fields = {"type": f"azureml.inference.{kind}", "correlationid": name, "xrequestid": "r-1", "time": at}
    return {"specversion": "1.0", "id": f"{kind}-{name}", "data": data, **fields}


def test_azures_halves_are_joined_across_files(tmp_path: Path) -> None:
    rows = [{"x": 1}, {"x": 2}]
    lines(tmp_path / "inputs.jsonl", half("model_inputs", "a", rows), half("model_inputs", "b", [{"x": 3}]))
    late = half("model_outputs", "a", [{"cat": 0.9, "dog": 0.1}, {"cat": 0.3, "dog": 0.7}], "2023-11-14T22:13:21Z")
    lines(tmp_path / "outputs.jsonl", late, half("model_outputs", "lone", [{"cat": 1.0}]))
    first, alone = exchanges(tmp_path)
    assert [values_of(each) for each in first.call.inputs] == [[1], [2]]
    assert [each and [tuple(c)[:2] for c in each.concepts][:1] for each in first.call.outputs] == [
        [("cat", 0.9)], [("cat", 0.3)],
    ]  # fmt: skip
    assert (first.started_at, first.latency_seconds) == (1_700_000_000.0, 1.0)
    assert first.call.inputs[0].metadata["headers"] == {"x-request-id": "r-1"}
    assert [values_of(each) for each in alone.call.inputs] == [[3]]
    assert list(alone.call.outputs) == [None]


def test_azures_lines_that_point_elsewhere_or_are_of_no_kind_are_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", half("model_inputs", "a", None), half("labels", "b", []), half("inputs", "", []))
    third = json.loads(path.read_text().splitlines()[2]) | {"id": ""}
    lines(path, *(json.loads(line) for line in path.read_text().splitlines()[:2]), third)
    said = [str(each) for each in read(path)]
    assert [text.partition("jsonl:")[2][:7] for text in said] == ["1: data", "2: type", "3: corr"]


def entry(url: str, **fields: Any) -> dict[str, Any]:
    headers = [
        {"name": ":method", "value": "POST"}, {"name": "X-Caller-Id", "value": "bob"},
        {"name": "Authorization", "value": "Bearer of-somebody"}, {"name": "Content-Encoding", "value": "gzip"},
    ]  # fmt: skip
    request = {"method": "POST", "url": url, "headers": headers, "postData": {"text": '{"instances": [1]}'}}
    packed = base64_of('{"predictions": [[0.2, 0.8]]}')
    content = {"mimeType": "application/json", "text": packed, "encoding": "base64"}
    response = {"status": 200, "headers": [{"name": "Content-Encoding", "value": "br"}], "content": content}
    return {
        "startedDateTime": "2023-11-14T22:13:20.000Z",
        "time": 12.5,
        "request": request,
        "response": response,
    } | fields


@pytest.mark.parametrize("indent", [None, 2])
def test_a_har_file_is_read_like_traffic(tmp_path: Path, indent: int | None) -> None:
    aborted = entry("http://m/v1/models/digits:predict", response={"status": 0, "headers": []})
    entries = [
        entry("http://m/v1/models/digits:predict?key=x&a=b"),
        {"request": 1},
        entry("http://m/style.css"),
        aborted,
    ]
    path = tmp_path / ("traffic.har" if indent is None else "traffic.json")
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}, indent=indent))
    first, problem, other, last = read(path)
    assert isinstance(first, Exchange)
    found = decoded(first, ARRIVALS)
    assert found is not None
    assert (found.caller, found.call.model, found.latency_seconds) == ("bob", "digits", 0.0125)
    metadata = found.call.inputs[0].metadata
    assert metadata["query"] == {"a": "b"}
    assert "of-somebody" not in json.dumps(metadata)
    assert found.call.outputs[0] is not None
    assert found.call.outputs[0].tensors == (Tensor([0.2, 0.8]),)
    assert "log.entries[1]" in str(problem)
    assert isinstance(other, Exchange)
    assert decoded(other, ARRIVALS) is None
    assert isinstance(last, Exchange)
    assert last.response is None
