"""Record files as they are written: their layout, what each format's own readers find, and what ours read back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.entries import OF_ITS_EXCHANGE, STARTED_AT, entry

from sidecar.data import Concept, Data, Embedding, GeoPoint, Json, Media, Raw, Region, Tensor, Text, from_wire, to_wire
from sidecar.errors import Problem
from sidecar.kit.ids import digest
from sidecar.records.azure_files import IN_LINE_BYTES
from sidecar.records.entries import Entry, read_entries
from sidecar.records.files import read_records, record_files
from sidecar.records.formats import FORMATS
from sidecar.records.parquet_values import columns_of, wire_of
from sidecar.records.recorded import Recorded

NAME = "20231114T221320Z-0011223344556677-1-3-89abcdef"
PNG = b"\x89PNG\r\n\x1a\n picture"
NUMBERS = Data(tensors=(Tensor([0.5, 1.5]),), metadata=OF_ITS_EXCHANGE)
ROW = Data(tensors=(Tensor(3, "width"), Tensor("red", "colour")), metadata=OF_ITS_EXCHANGE)
TEXT = Data(text=Text("hello"), metadata=OF_ITS_EXCHANGE)
ANSWER = Data(tensors=(Tensor([0.9, 0.1]),), concepts=(Concept("0", 0.9), Concept("1", 0.1)))
ENTRIES = [entry("a", NUMBERS, ANSWER), entry("b", ROW, ANSWER), entry("c", TEXT)]


def write(folder: Path, name: str, entries: Sequence[Entry]) -> list[Path]:
    paths = []
    for file in FORMATS[name](entries, NAME):
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        paths.append(path)
    return paths


def read(folder: Path) -> list[Recorded]:
    found = list(read_records(record_files(folder)))
    assert all(isinstance(each, Recorded) for each in found), found
    return [each for each in found if isinstance(each, Recorded)]


def lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def inputs(recorded: Sequence[Recorded]) -> list[Data]:
    return [data for each in recorded for data in each.call.inputs]


LAYOUTS = {
    "exchange": [f"watch/2023/11/14/22/{NAME}.jsonl"],
    "parquet": [f"watch/day=2023-11-14/{NAME}.parquet"],
    "sagemaker": [f"digits/1/2023/11/14/22/{NAME}.jsonl"],
    "azure": [
        f"modelDataCollector/digits/1/model_inputs/2023/11/14/22/{NAME}.jsonl",
        f"modelDataCollector/digits/1/model_outputs/2023/11/14/22/{NAME}.jsonl",
    ],
    "azure-csv": [
        f"modeldata/unknown/unknown/unknown/alice/digits-digits-1/inputs/2023/11/14/data-{NAME}.csv",
        f"modeldata/unknown/unknown/unknown/alice/digits-digits-1/inputs/2023/11/14/data-{NAME}-1.csv",
        f"modeldata/unknown/unknown/unknown/alice/digits-digits-1/inputs/2023/11/14/data-{NAME}-2.csv",
        f"modeldata/unknown/unknown/unknown/alice/digits-digits-1/predictions/2023/11/14/data-{NAME}.csv",
    ],
}


@pytest.mark.parametrize("name", FORMATS)
def test_files_lie_where_their_readers_look(tmp_path: Path, name: str) -> None:
    assert sorted(write(tmp_path, name, ENTRIES)) == sorted(tmp_path / path for path in LAYOUTS[name])


@pytest.mark.parametrize("name", FORMATS)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    strange = entry("a", NUMBERS, ANSWER, model="../../up", version="..", caller="/etc", collector="me/app/../x")
    for path in write(tmp_path / "inside", name, [strange]):
        assert path.resolve().is_relative_to(tmp_path / "inside")


@pytest.mark.parametrize("name", ["exchange", "parquet"])
def test_our_own_formats_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, ENTRIES)
    found = read(tmp_path)
    assert inputs(found) == [NUMBERS, ROW, TEXT]
    assert [each.call.outputs[0] and to_wire(each.call.outputs[0]) for each in found] == [
        to_wire(ANSWER), to_wire(ANSWER), None,
    ]  # fmt: skip
    for each, name in zip(found, "abc", strict=True):
        assert each.id == digest("exchange", name)
        assert (each.started_at, each.latency_seconds, each.first_index) == (STARTED_AT, 0.0125, 2)
        assert (each.caller, each.call.model, each.call.version, each.collector) == ("alice", "digits", "1", "watch")
        assert (each.sample_exchanges, each.sample_inputs) == (0.5, 0.25)


@pytest.mark.parametrize("name", ["sagemaker", "azure"])
def test_what_others_formats_can_say_is_read_back(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, ENTRIES[:2])
    found = read(tmp_path)
    assert [[tensor.value for tensor in data.tensors] for data in inputs(found)] == [[[0.5, 1.5]], [3, "red"]]
    assert [each.call.outputs[0] and each.call.outputs[0].tensors[0].value for each in found] == [[0.9, 0.1]] * 2
    assert [round(each.started_at, 3) for each in found] == [STARTED_AT] * 2


def test_an_input_that_came_twice_is_written_once(tmp_path: Path) -> None:
    assert [each.known.input_id for each in read_entries(b"".join(e.line for e in (*ENTRIES, *ENTRIES)))] == [
        digest(name).hex() for name in "abc"
    ]


def test_sagemakers_lines_carry_what_it_lacks(tmp_path: Path) -> None:
    binary = Data(image=Media(PNG, media_type="image/png"), metadata=OF_ITS_EXCHANGE)
    (path,) = write(tmp_path, "sagemaker", [ENTRIES[0], entry("d", binary)])
    first, second = lines(path)
    assert first["eventVersion"] == "0"
    assert first["captureData"]["endpointInput"] == {
        "observedContentType": "application/json", "mode": "INPUT", "data": "[[0.5,1.5]]", "encoding": "JSON",
    }  # fmt: skip
    event = first["eventMetadata"]
    assert (event["inferenceId"], event["inferenceTime"]) == ("request-1", "2023-11-14T22:13:20.250000Z")
    assert (event["status"], event["latencySeconds"], event["samplingRate"]) == (200, 0.0125, 0.125)
    assert event["traceparent"].startswith("00-0af")
    assert second["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert second["captureData"].keys() == {"endpointInput"}


def test_azures_lines_refer_to_what_is_large_or_binary(tmp_path: Path) -> None:
    binary = Data(raw=Raw(b"\x00\xff" * 50, "application/x-npy"), metadata=OF_ITS_EXCHANGE)
    large = Data(text=Text("x" * IN_LINE_BYTES), metadata=OF_ITS_EXCHANGE)
    paths = write(tmp_path, "azure", [ENTRIES[0], entry("d", binary), entry("e", large)])
    here, apart, also_apart = lines(tmp_path / LAYOUTS["azure"][0])
    assert (here["data"], here["contentrange"]) == ([{"value": [0.5, 1.5]}], "bytes 0-20/21")
    assert {"dataref", "datainblob"}.isdisjoint(here)
    assert (here["specversion"], here["type"], here["modelversion"]) == ("1.0", "azureml.inference.model_inputs", "1")
    assert (here["xrequestid"], here["status"], here["samplingrate"]) == ("request-1", 200, 0.125)
    assert (apart["data"], apart["datainblob"], apart["datacontenttype"]) == (None, "true", "application/x-npy")
    assert (tmp_path / apart["dataref"]).read_bytes() == b"\x00\xff" * 50
    assert apart["contentrange"] == "bytes 0-99/100"
    assert (also_apart["data"], also_apart["datainblob"]) == (None, "false")
    assert json.loads((tmp_path / also_apart["dataref"]).read_bytes()) == [{"text": "x" * IN_LINE_BYTES}]
    order = [path.suffix for path in paths]
    assert order.index(".jsonl") > max(place for place, suffix in enumerate(order) if suffix == ".raw")


def test_csv_has_one_header_which_all_rows_fit(tmp_path: Path) -> None:
    nested = Data(tensors=(Tensor([[1], [2]], "pixels"), Tensor(None, "none")), metadata=OF_ITS_EXCHANGE)
    found = {}
    for path in write(tmp_path, "azure-csv", [*ENTRIES, entry("d", nested, Data(concepts=(Concept("cat", 0.75),)))]):
        header, *rows = csv.reader(io.StringIO(path.read_text()))
        assert header[:3] == ["$Timestamp", "$CorrelationId", "$RequestId"]
        assert header[-7:-4] == ["$Status", "$LatencySeconds", "$SamplingRate"]
        assert all(len(row) == len(header) for row in rows)
        found[path.parts[-5], tuple(header[3:-7])] = [row[3:-7] for row in rows]
        assert rows[0][-7:-4] == ["200", "0.0125", "0.125"]
    assert found == {
        ("inputs", ("value_0", "value_1")): [["0.5", "1.5"]],
        ("inputs", ("width", "colour")): [["3", "red"]],
        ("inputs", ("text",)): [["hello"]],
        ("inputs", ("pixels_0", "pixels_1", "none")): [["[1]", "[2]", ""]],
        ("predictions", ("value_0", "value_1")): [["0.9", "0.1"]] * 2,
        ("predictions", ("cat",)): [["0.75"]],
    }


def test_parquet_is_read_by_other_peoples_tools(tmp_path: Path) -> None:
    import duckdb
    import pandas
    import polars

    posted = Data(concepts=(Concept("cat", 0.75),))
    failed = entry("d", TEXT, status=503, latency_seconds=0.5)
    (path,) = write(tmp_path, "parquet", [*ENTRIES[:2], failed, entry("e", NUMBERS, ANSWER, posted)])
    expected = [(200, 0.0125, 0.125, "alice", 2), (200, 0.0125, 0.125, "alice", 2), (503, 0.5, 0.125, "alice", 0)]
    query = (
        "SELECT status, latency_seconds, sampling_rate, caller, len(output_concepts), started_at, "
        f"input_tensors[1].numbers, posted, day FROM read_parquet('{tmp_path}/**/*.parquet') ORDER BY latency_seconds"
    )
    with duckdb.connect() as connection:
        found = connection.execute(query).fetchall()
    assert [row[:5] for row in found[:2] + found[3:]] == expected
    assert {row[5].timestamp() for row in found} == {STARTED_AT}
    assert [0.5, 1.5] in [row[6] for row in found]
    assert {str(row[8]) for row in found} == {"2023-11-14"}

    frame = pandas.read_parquet(path)
    assert str(frame["started_at"].dtype) == "datetime64[us, UTC]"
    assert list(frame["status"]) == [200, 200, 503, 200]
    assert [len(concepts) for concepts in frame["output_concepts"]] == [2, 2, 0, 2]
    assert frame["output_concepts"][0][0] == {"id": "0", "name": "0", "value": 0.9}
    assert list(frame["has_output"]) == [True, True, False, True]

    table = polars.read_parquet(path)
    assert table.schema["started_at"] == polars.Datetime("us", "UTC")
    tops = table.select(polars.col("output_concepts").list.eval(polars.element().struct.field("value")).list.max())
    assert tops["output_concepts"].to_list() == [0.9, 0.9, None, 0.9]
    assert table["input_text"].to_list() == [None, None, "hello", None]
    assert table["posted"].to_list()[3] == json.dumps(to_wire(posted), separators=(",", ":"))


def test_a_parquet_file_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    first, second = read_records(record_files(tmp_path))
    assert isinstance(first, Problem)
    assert isinstance(second, Problem)
    assert "is no record of ours: it has no column" in first.message
    assert "is no Parquet that can be read" in second.message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=8,
)  # fmt: skip
TENSORS = st.builds(
    Tensor,
    st.one_of(VALUES.filter(lambda value: _fits(value)), st.binary(max_size=4)),
    st.text("xy", max_size=2),
    st.sampled_from(["", "FP32"]),
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
)
DATA = st.builds(
    Data,
    text=st.none() | st.builds(Text, st.text("ab", max_size=2), st.sampled_from(["", "http://x"])),
    image=st.none() | st.builds(Media, st.binary(max_size=3), st.sampled_from(["", "http://x"])),
    raw=st.none() | st.builds(Raw, st.binary(max_size=3), st.sampled_from(["", "a/b"])),
    concepts=st.lists(st.builds(Concept, st.text("ab", max_size=2), st.floats(0, 1)), max_size=2).map(tuple),
    regions=st.just(()) | st.just((Region("r", (0.0, 0.0, 1.0, 1.0), (Concept("cat", 0.5),)),)),
    embeddings=st.just(()) | st.just((Embedding((1.0, 2.0)),)),
    geo=st.none() | st.just(GeoPoint(1.0, 2.0)),
    tensors=st.lists(TENSORS, max_size=2).map(tuple),
    metadata=st.just({}) | st.just(OF_ITS_EXCHANGE),
)


def _fits(value: Any) -> bool:
    """What JSON readers can read: numbers of at most 64 bits."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, list | dict):
        return all(map(_fits, value.values() if isinstance(value, dict) else value))
    return True


@given(DATA)
def test_typed_columns_lose_nothing(data: Data) -> None:
    wire = json.loads(json.dumps(to_wire(data)))
    again = wire_of(columns_of(wire))
    assert again == wire
    assert repr(from_wire(again)) == repr(from_wire(wire))  # 1 is not 1.0, nor true
