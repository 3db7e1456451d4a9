"""The form of a collector loses nothing that the API can say."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect
from support.browser import Screen
from support.page import SCRIPT, post
from support.product import Product

from sidecar.policy.shapes import CollectorShape, ModelSourceShape

pytestmark = pytest.mark.asyncio(loop_scope="session")
SET_BY_THE_SERVER = {"user_id", "app_id", "created_at", "managed_by", "origin"}
SHORT_FORM = "source"
SOURCE = "api_post_model_outputs_collector_source"
EVERYTHING: dict[str, Any] = {
    "id": "everything",
    "description": f"  {SCRIPT}\nin two lines, with a space at each end ",
    "collector_source": {
        SOURCE: {
            "model_id": "form: model #1",
            "model_version_id": "007",
            "model_user_id": "1e3",
            "model_app_id": "null",
            "caller_user_id": "yes",
            "post_inputs_key_id": "a key that may post",
        }
    },
    "pre_queue_workflow_id": "form-before",
    "pre_queue_random_sample": 1e-7,
    "post_queue_workflow_id": "form-after",
    "status": {"code": 52002},
    "collect_outputs": True,
    "keep_input": True,
    "collect_failures": False,
    "sample_exchanges": 0.1,
    "redact": [
        {"remove": "input.tensors[?name=='user: \"name\"']"},
        {"mask": "\\bCUST-\\d{6}\\b|[\u0085\u2028\u007f#']", "to": "[customer] "},
        {"detect": ["email", "phone"], "regions": ["US", "DE"], "to": ""},
        {"keep_unread": ["image", "binary"]},
    ],
    "destination": [
        "app",
        {"clarifai": {"user_id": "me", "app_id": "on", "timeout_seconds": 0.5, "dataset_ids": ["1", "a: b", "- c"]}},
        {"cloudevents": {"url": "http://127.0.0.1:9/", "mode": "kserve", "kserve": {"namespace": "no"}}},
        {"sql": {"url": "sqlite:////nowhere/x.db", "table": "a.b", "create": False}, "name": "table"},
    ],
}


def node(expression: str) -> dict[str, Any]:
    params = {"params": {"expression": expression}}
    return {"id": "all", "model": {"id": "all", "model_type_id": "metadata-filter", "output_info": params}}


async def made(house: Product, **changes: Any) -> dict[str, Any]:
    name = changes.get("id", EVERYTHING["id"])
    await post(house, "/v2/collectors", {"collectors": [{**EVERYTHING, **changes}]})
    return await read(house, name)


async def read(house: Product, name: str) -> dict[str, Any]:
    collector: dict[str, Any] = (await house.get(f"/v2/collectors/{name}"))["collector"]
    return collector


async def save(screen: Screen) -> None:
    await screen.page.get_by_role("button", name="Save").click()
    await screen.page.get_by_text("is saved.").wait_for()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def forms(house: Product) -> Product:
    """The house, with the workflows that these collectors name."""
    both = [{"id": name, "nodes": [node("caller == 'bob'")]} for name in ("form-before", "form-after")]
    await post(house, "/v2/workflows", {"workflows": both})
    return house


async def test_a_collector_with_every_field_is_saved_as_it_was(forms: Product, screen: Screen) -> None:
    before = await made(forms)
    assert set(before) >= set(CollectorShape.model_fields) - SET_BY_THE_SERVER - {SHORT_FORM}
    assert set(before["collector_source"][SOURCE]) == set(ModelSourceShape.model_fields)
    await screen.open("collector/everything")
    await save(screen)
    assert await read(forms, "everything") == before


async def test_failures_are_left_out_where_the_box_is_not_ticked(forms: Product, screen: Screen) -> None:
    before = await made(forms, id="without-failures", collect_failures=True)
    await screen.open("collector/without-failures")
    box = screen.page.get_by_label("Keep what the model failed on too")
    await expect(box).to_be_checked()
    await box.press("Space")
    await save(screen)
    assert await read(forms, "without-failures") == {**before, "collect_failures": False}
    await screen.open("collector")
    await expect(box).to_be_checked()


async def test_a_key_is_kept_until_it_is_taken_away(forms: Product, screen: Screen) -> None:
    before = await made(forms, id="without-a-key")
    await screen.open("collector/without-a-key")
    await screen.page.get_by_label("Take the key away").press("Space")
    await save(screen)
    del before["collector_source"][SOURCE]["post_inputs_key_id"]
    assert await read(forms, "without-a-key") == before
    await screen.open("collector/without-a-key")
    await expect(screen.page.get_by_label("Take the key away")).to_be_hidden()
