"""The embedded app's inputs: each judged by itself, and served so that no browser runs what was captured."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy
import pytest
from support.admin import Admin

from sidecar.data import Concept, Data, Media, Raw, Tensor, Text
from sidecar.store.inputs import StoredInput, insert_inputs

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
INPUTS = "/v2/inputs"


def text(name: str, raw: str = "hello") -> dict[str, Any]:
    return {"id": name, "data": {"text": {"raw": raw}}}


async def post(admin: Admin, *inputs: Any) -> tuple[int, int, list[int]]:
    """HTTP status, top code, code of each input."""
    status, answer = await admin.ask("POST", INPUTS, {"inputs": list(inputs)})
    return status, answer["status"]["code"], [each["status"]["code"] for each in answer["inputs"]]


async def test_each_input_is_judged_by_itself(admin: Admin) -> None:
    assert await post(admin, text("a")) == (200, 10000, [30001])
    mixed = await post(admin, text("a"), text("b"), text("b"), {"id": "c", "data": {}}, {"id": "d e"}, 7)
    assert mixed == (200, 10010, [30100, 30001, 30100, 30104, 30104, 30104])
    assert await post(admin, text("a"), text("b")) == (400, 10020, [30100, 30100])
    _, listed = await admin.ask("GET", INPUTS)
    assert {each["id"] for each in listed["inputs"]} == {"a", "b"}


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({"id": "x", "dat": {}}, "inputs[0].dat: no such field"),
        ({"id": "x", "data": {"text": "hello"}}, "inputs[0].data.text: must be an object"),
        ({"id": "x", "data": {"image": {"base64": "!"}}}, "inputs[0].data.image.base64: must be base64"),
        ({"id": 3, "data": {"text": {"raw": "x"}}}, "inputs[0].id: is not an id"),
        ({"id": "x", "data": {"text": {"raw": "x"}}, "dataset_ids": "d"}, "inputs[0].dataset_ids: must be a list"),
        ([], "inputs[0]: must be an object"),
    ],
)
async def test_a_fault_names_its_field(admin: Admin, wire: object, said: str) -> None:
    _, answer = await admin.ask("POST", INPUTS, {"inputs": [wire]})
    assert said in answer["inputs"][0]["status"]["details"]
    assert said in answer["status"]["details"]


def at(url: str, name: str, **more: object) -> dict[str, Any]:
    return {"id": name, "data": {"image": {"url": url, **more}}}


async def test_a_repeated_address_is_refused_unless_it_says_so(admin: Admin) -> None:
    first = "http://host/1.png"
    assert await post(admin, at(first, "a"), at(first, "b"), at("http://host/2.png", "c")) == (
        200, 10010, [30001, 30100, 30001],
    )  # fmt: skip
    _, answer = await admin.ask("POST", INPUTS, {"inputs": [at(first, "d")]})
    assert "duplicate URL" in answer["inputs"][0]["status"]["details"]
    assert (await post(admin, at(first, "d", allow_duplicate_url=True)))[2] == [30001]
    assert (await post(admin, at(first, "e", allowDuplicateUrl=True)))[2] == [30001]
    _, elsewhere = await admin.ask("POST", "/v2/users/me/apps/other/inputs", {"inputs": [at(first, "a")]})
    assert elsewhere["inputs"][0]["status"]["code"] == 30001


async def test_an_input_posted_again_is_known_by_its_id_before_its_address(admin: Admin) -> None:
    await post(admin, at("http://host/1.png", "a"))
    _, again = await admin.ask("POST", INPUTS, {"inputs": [at("http://host/1.png", "a"), at("http://host/1.png", "a")]})
    assert [each["status"]["details"] for each in again["inputs"]] == ["Input has a duplicate ID."] * 2


async def test_camel_case_is_read_below_data_too(admin: Admin) -> None:
    box = {"topRow": 0.1, "leftCol": 0.2, "bottomRow": 0.3, "rightCol": 0.4}
    data = {"regions": [{"regionInfo": {"boundingBox": box}}], "geo": {"geoPoint": {"longitude": 1, "latitude": 2}}}
    assert (await post(admin, {"id": "a", "data": data}))[2] == [30001]
    _, found = await admin.ask("GET", f"{INPUTS}/a")
    assert found["input"]["data"]["regions"][0]["region_info"]["bounding_box"]["right_col"] == 0.4
    assert found["input"]["data"]["geo"] == {"geo_point": {"longitude": 1.0, "latitude": 2.0}}


async def test_an_input_without_an_id_gets_one(admin: Admin) -> None:
    _, answer = await admin.ask("POST", INPUTS, {"inputs": [{"data": {"text": {"raw": "x"}}}]})
    assert len(answer["inputs"][0]["id"]) == 32


async def test_too_many_are_refused_whole(admin: Admin) -> None:
    status, answer = await admin.ask("POST", INPUTS, {"inputs": [text(f"i{number}") for number in range(129)]})
    assert (status, answer["status"]["code"]) == (400, 11102)
    status, _ = await admin.ask("POST", INPUTS, {"inputs": [text("a")], "input_id_conflict_resolution": "SUFFIX"})
    assert status == 400
    status, _ = await admin.ask("POST", INPUTS, {"inputs": [text("a")], "input_id_conflict_resolution": "SKIP"})
    assert status == 200


async def test_what_nests_too_deeply_is_refused_whole(admin: Admin) -> None:
    deep = b'{"inputs": [{"id": "a", "data": {"metadata": {"x": ' + b"[" * 500 + b"]" * 500 + b"}}}]}"
    status, answer = await admin.ask("POST", INPUTS, deep)
    assert (status, answer["status"]["code"]) == (400, 11102)


async def test_newest_first_by_page_and_by_collector(admin: Admin) -> None:
    rows = [
        StoredInput("local", "main", f"i{number}", Data(text=Text("x")), float(number), collector=f"c{number % 2}")
        for number in range(5)
    ]
    await admin.shop.database.write(lambda connection: insert_inputs(connection, rows))
    _, first = await admin.ask("GET", f"{INPUTS}?per_page=2")
    _, second = await admin.ask("GET", f"{INPUTS}?per_page=2&page=2")
    _, of_one = await admin.ask("GET", f"{INPUTS}?collector=c1")
    ids = [[each["id"] for each in answer["inputs"]] for answer in (first, second, of_one)]
    assert ids == [["i4", "i3"], ["i2", "i1"], ["i3", "i1"]]


async def test_an_image_is_served_as_it_came(admin: Admin) -> None:
    image = {"image": {"base64": base64.b64encode(PNG).decode()}}
    await admin.ask("POST", INPUTS, {"inputs": [{"id": "i", "data": image, "dataset_ids": ["d"]}]})
    _, listed = await admin.ask("GET", INPUTS)
    shown = listed["inputs"][0]
    assert (shown["media_type"], shown["content_bytes"], shown["dataset_ids"]) == ("image/png", len(PNG), ["d"])
    async with admin.session.get(admin.url + shown["content_url"]) as response:
        assert await response.read() == PNG
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert "Content-Disposition" not in response.headers
    _, got = await admin.ask("GET", f"{INPUTS}/i")
    assert base64.b64decode(got["input"]["data"]["image"]["base64"]) == PNG


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "", "application/pdf"])
async def test_what_a_browser_could_run_is_only_handed_over(admin: Admin, media_type: str) -> None:
    media = Media(b"<script>alert(1)</script>", media_type=media_type)
    row = StoredInput("local", "main", "i", Data(image=media), 1.0)
    await admin.shop.database.write(lambda connection: insert_inputs(connection, [row]))
    async with admin.session.get(f"{admin.url}/v1/users/local/apps/main/inputs/i/content") as response:
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"


async def test_what_is_not_there(admin: Admin) -> None:
    await admin.ask("POST", INPUTS, {"inputs": [text("t")]})
    for path in (f"{INPUTS}/x", "/v1/users/local/apps/main/inputs/t/content"):
        status, answer = await admin.ask("GET", path)
        assert (status, answer["status"]["code"]) == (404, 30102)


async def test_inputs_are_deleted_by_id_and_a_repeat_is_harmless(admin: Admin) -> None:
    await admin.ask("POST", INPUTS, {"inputs": [text("one"), text("two"), text("three")]})
    for _ in range(2):
        status, answer = await admin.ask("DELETE", INPUTS, {"ids": ["one", "two"]})
        assert (status, answer["status"]["code"]) == (200, 10000)
    _, listed = await admin.ask("GET", INPUTS)
    assert [each["id"] for each in listed["inputs"]] == ["three"]
    status, answer = await admin.ask("DELETE", INPUTS, {"ids": []})
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert answer["status"]["details"].startswith("ids:")


def search_rows() -> list[StoredInput]:
    return [
        StoredInput(
            "local", "main", f"i{number}",
            Data(text=Text("late refund" if number % 2 else "thanks"), concepts=(Concept("cat", number / 10),)),
            1_700_000_000.0 + number, caller="ann" if number < 4 else "bob", model="m", collector="c",
        )
        for number in range(8)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("caller=bob&model=m", "i7 i6 i5 i4"),
        ("concept=cat&least=0.2&most=0.4", "i4 i3 i2"),
        ("text=refund", "i7 i5 i3 i1"),
        ("text=refund&caller=ann&concept=cat&least=0.2", "i3"),
        ("since=2023-11-14T22:13:26Z", "i7 i6"),
        ("since=2023-11-14T23:13:26+01:00", "i7 i6"),
        ("until=1700000002", "i1 i0"),
        ("collector=other", ""),
        ("caller=", "i7 i6 i5 i4 i3 i2 i1 i0"),
    ],
)
async def test_inputs_are_searched(admin: Admin, query: str, expected: str) -> None:
    await admin.shop.database.write(lambda connection: insert_inputs(connection, search_rows()))
    found: list[str] = []
    following = ""
    while True:
        _, page = await admin.ask("GET", f"{INPUTS}?{query}&per_page=3&before={following}")
        found += [each["id"] for each in page["inputs"]]
        if page["next_before"] is None:
            break
        following = page["next_before"]
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("concept=cat&least=x", "least: must be a number"),
        ("concept=cat&most=nan", "most: must be a number"),
        ("least=0.1", "concept: is missing"),
        ("since=yesterday", "since: must be a number"),
        ("before=1", "before: must be an answer's next_before"),
        ("before=x,y", "before: must be a number"),
        ("text=" + "x" * 513, "text: must be text of at most 512 characters"),
        ("per_page=1001", "per_page: must be at most 1000"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(admin: Admin, query: str, said: str) -> None:
    status, answer = await admin.ask("GET", f"{INPUTS}?{query}")
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert answer["status"]["details"].startswith(said)


async def test_what_models_said_is_shown_as_annotations(admin: Admin) -> None:
    output = {"concepts": [{"id": "cat", "name": "cat", "value": 0.0}]}
    data = Data(text=Text("x"), metadata={"model_output": output, "workflow_output": {"text": {"raw": "a cat"}}})
    rows = [StoredInput("local", "main", "i", data, 1.0), StoredInput("local", "main", "j", Data(text=Text("x")), 1.0)]
    await admin.shop.database.write(lambda connection: insert_inputs(connection, rows))
    _, answer = await admin.ask("GET", f"{INPUTS}/i/annotations")
    assert [(each["id"], each["input_id"], each["data"]) for each in answer["annotations"]] == [
        ("model_output", "i", output),
        ("workflow_output", "i", {"text": {"raw": "a cat"}}),
    ]
    assert (await admin.ask("GET", f"{INPUTS}/j/annotations"))[1]["annotations"] == []
    status, answer = await admin.ask("GET", f"{INPUTS}/x/annotations")
    assert (status, answer["status"]["code"]) == (404, 30102)


@pytest.mark.parametrize(
    ("value", "datatype", "dtype"),
    [
        ([[1.5, 2.0], [3.0, 4.0]], "FP32", "float32"),
        ([1, 2, 3], "INT64", "int64"),
        ([300, 2], "UINT8", "float64"),
        (7, "", "float64"),
        ([True, False], "BOOL", "bool"),
        ([[]], "FP32", "float32"),
    ],
)
async def test_a_tensors_bytes_are_what_numpy_reads(admin: Admin, value: Any, datatype: str, dtype: str) -> None:
    row = StoredInput("local", "main", "i", Data(tensors=(Tensor(value, "x", datatype),)), 1.0)
    await admin.shop.database.write(lambda connection: insert_inputs(connection, [row]))
    async with admin.session.get(f"{admin.url}/v1/users/local/apps/main/inputs/i/content?tensor=x") as response:
        read = numpy.load(io.BytesIO(await response.read()))
        assert response.headers["Content-Disposition"] == "attachment"
    assert read.dtype == numpy.dtype(dtype)
    assert read.tolist() == value


async def test_what_is_no_block_of_numbers_has_no_such_bytes(admin: Admin) -> None:
    tensors = (Tensor(["a"], "text"), Tensor([[1], [1, 2]], "ragged"), Tensor(None, "null"))
    row = StoredInput("local", "main", "i", Data(tensors=tensors), 1.0)
    await admin.shop.database.write(lambda connection: insert_inputs(connection, [row]))
    for name in ("text", "ragged", "null", "other"):
        status, answer = await admin.ask("GET", f"/v1/users/local/apps/main/inputs/i/content?tensor={name}")
        assert (status, answer["status"]["code"]) == (404, 30102), name


async def test_a_raw_body_is_handed_over_as_it_came(admin: Admin) -> None:
    row = StoredInput("local", "main", "i", Data(raw=Raw(b"<script>", "text/html")), 1.0)
    await admin.shop.database.write(lambda connection: insert_inputs(connection, [row]))
    async with admin.session.get(f"{admin.url}/v1/users/local/apps/main/inputs/i/content") as response:
        assert await response.read() == b"<script>"
        assert response.headers["Content-Type"] == "application/octet-stream"


async def test_one_input_is_deleted_by_its_path(admin: Admin) -> None:
    await admin.ask("POST", INPUTS, {"inputs": [text("one"), text("two")]})
    assert (await admin.ask("DELETE", f"{INPUTS}/one"))[0] == 200
    _, listed = await admin.ask("GET", INPUTS)
    assert [each["id"] for each in listed["inputs"]] == ["two"]
