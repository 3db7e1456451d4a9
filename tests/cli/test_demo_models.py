from __future__ import annotations

import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from PIL import Image

from sidecar.cli.demo import digits, model_server
from sidecar.protocol.routes import recognise

Client = TestClient[web.Request, web.Application]
MakeClient = Callable[[web.Application], Awaitable[Client]]
PATH = "/v1/models/digits:predict"


def _instance(image: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(image).decode()}


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return digits.held_out()


@pytest.fixture
async def client(aiohttp_client: MakeClient) -> Client:
    return await aiohttp_client(model_server.application("digits", model_server.KINDS["first"].train()))


async def test_images_go_in_and_probabilities_come_out_in_order(client: Client, images: list[bytes]) -> None:
    answers = []
    for batch in (images[:3], images[2:0:-1]):
        response = await client.post(PATH, json={"instances": [_instance(image) for image in batch]})
        assert response.status == 200
        answers.append((await response.json())["predictions"])
    assert [len(row) for row in answers[0]] == [10, 10, 10]
    assert all(abs(sum(row) - 1) < 1e-4 for row in answers[0])
    assert answers[1] == answers[0][2:0:-1]


async def test_its_status_can_be_asked(client: Client) -> None:
    response = await client.get("/v1/models/digits")
    assert (await response.json())["model_version_status"][0]["state"] == "AVAILABLE"


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "Expecting"),
        (b"\xff\xfe{", "decode"),
        (b"[]", "must be"),
        (b'{"instances": []}', "one image or more"),
        (b'{"instances": [{}]}', "instances[0]"),
        (b'{"instances": [{"b64": 3}]}', "instances[0]"),
        (b'{"instances": [{"b64": "%%"}]}', "not base64"),
        (b'{"instances": [{"b64": "aGVsbG8="}]}', "not an image"),
        (b'{"instances": [{"b64": "' + base64.b64encode(_png(3, 2000)) + b'"}]}', "larger than 1024"),
        (b'{"instances": [{"b64": "' + base64.b64encode(_png(64, 64)[:-30]) + b'"}]}', "not an image"),
        (b'{"instances": [' + b",".join([b"{}"] * 129) + b"]}", "more than 128"),
    ],
)
async def test_bad_input_is_refused_with_what_was_wrong(client: Client, body: bytes, says: str) -> None:
    response = await client.post(PATH, data=body)
    assert response.status == 400
    assert says in (await response.json())["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/models/other:predict", 404), ("GET", PATH, 405), ("POST", "/v1/models/digits", 405)],
)
async def test_another_path_or_method_is_refused_as_json(client: Client, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)
    assert response.status == status
    assert path in (await response.json())["error"]


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    response = await client.post(PATH, data=io.BytesIO(b" " * (8 * 2**20 + 1)))
    assert response.status == 413


@pytest.mark.parametrize("kind", ["first", "second"])
def test_the_sidecar_knows_its_predict_call(kind: str) -> None:
    name = model_server.KINDS[kind].name
    route = recognise(b"POST", f"/v1/models/{name}:predict".encode())
    assert route is not None
    assert (route.protocol, route.model) == ("tensorflow", name)


def test_the_first_is_good_but_unsure_at_times_and_the_second_sees_some_of_it_otherwise(images: list[bytes]) -> None:
    pixels = np.stack([digits.from_image(image) for image in images])
    first, second = (model_server.KINDS[kind].train()(pixels) for kind in ("first", "second"))
    labels = _held_out_labels()
    is_unsure = first.max(axis=1) < 0.6
    differs = first.argmax(axis=1) != second.argmax(axis=1)
    assert 0.85 < (first.argmax(axis=1) == labels).mean() < 0.99
    assert (second.argmax(axis=1) == labels).mean() > (first.argmax(axis=1) == labels).mean()
    assert 0.05 < is_unsure.mean() < 0.3
    assert 24 <= (is_unsure & differs).sum() <= 100, "a few dozen are worth looking at"


def _held_out_labels() -> Any:
    return digits._shuffled().labels[digits.LEARNED :]


def test_no_caller_sends_what_a_model_has_seen(images: list[bytes]) -> None:
    assert len(images) == 1200
    assert not {digits.to_png(row) for row in digits.learned().pixels} & set(images)


def test_an_image_comes_back_as_the_pixels_it_was_made_of() -> None:
    pixels = digits.learned().pixels[7]
    assert np.abs(digits.from_image(digits.to_png(pixels)) - pixels).max() < 1 / 255
