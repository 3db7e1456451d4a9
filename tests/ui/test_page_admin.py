"""The sidecar's own affairs on the page: who changed what, the settings it runs with, and the keys of its API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from support.browser import Screen, open_screen
from support.page import SCRIPT, TOKEN, post
from support.product import Product

from sidecar import settings

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def unlocked(locked: Product, browser: Browser) -> AsyncIterator[Screen]:
    """A window on the locked product, opened with its token."""
    async with open_screen(locked, browser) as screen:
        await screen.page.goto(f"{locked.admin}/#/settings")
        await screen.page.get_by_label("This sidecar asks for its admin token").fill(TOKEN)
        await screen.page.get_by_role("button", name="Open").click()
        await screen.open("settings")
        yield screen


async def test_events_say_who_changed_what_into_what(house: Product, screen: Screen) -> None:
    key = await post(house, "/v1/keys", {"name": SCRIPT, "scopes": ["write"]})
    audited = {"id": "audited", "source": {"model": "audited", "caller": "bob"}, "pre_queue_random_sample": 1}
    await post(house, "/v2/collectors", {"collectors": [audited]})
    changes = {"id": "audited", "pre_queue_random_sample": 0.25, "description": SCRIPT}
    changes |= {"source": {"model": "audited", "caller": "alice"}}
    await post(house, "/v2/collectors", {"collectors": [changes]}, method="PATCH", token=key["token"])
    page = screen.page
    await screen.open("events?collector=audited")
    events = page.get_by_role("list", name="Events, newest first").get_by_role("listitem")
    await expect(events).to_have_count(2)
    await expect(events.nth(0)).to_contain_text("Collector changed audited")
    await expect(events.nth(0)).to_contain_text(f"by the key {SCRIPT}")
    told = events.nth(0).get_by_role("definition")
    assert [each.replace("\n", "") for each in await told.all_inner_texts()] == [
        "before: 1 → after: 0.25",
        "before: bob → after: alice",
        f"after: {SCRIPT}",
    ]
    assert await events.nth(0).get_by_role("term").all_inner_texts() == [
        "pre_queue_random_sample",
        "source.caller_user_id",
        "description",
    ]
    await expect(events.nth(1)).to_contain_text("Collector added audited")
    await events.nth(1).get_by_text("fields").press("Enter")
    await expect(events.nth(1).get_by_text("source.model_id")).to_be_visible()
    assert await screen.axe() == []
    await page.get_by_role("combobox", name="Collector").fill("")
    await page.get_by_role("combobox", name="Who").fill(key["key"]["id"])
    await expect(events).to_have_count(1)
    assert page.url.endswith(f"#/events?who={key['key']['id']}")
    await page.get_by_role("combobox", name="Who").fill("")
    await page.get_by_role("combobox", name="Kind").fill("key.created")
    await expect(events.filter(has_text=f"Key created {SCRIPT}")).to_have_count(1)
    await page.get_by_role("combobox", name="Kind").fill("Key!")
    await page.get_by_text("kind: must be as in collector or collector.changed").wait_for()
    assert await page.evaluate("window.isRun === undefined")
    await screen.leave_after("400 (Bad Request)")


async def test_older_events_follow_page_by_page(house: Product, screen: Screen) -> None:
    collector = {"id": "busy", "source": {"model": "busy"}, "pre_queue_random_sample": 1}
    await post(house, "/v2/collectors", {"collectors": [collector]})
    for number in range(59):
        changed = {"id": "busy", "description": f"state {number}"}
        await post(house, "/v2/collectors", {"collectors": [changed]}, method="PATCH")
    await screen.open("events?collector=busy")
    events = screen.page.get_by_role("list", name="Events, newest first").get_by_role("listitem")
    await expect(events).to_have_count(50)
    await screen.page.get_by_role("button", name="Show older").press("Enter")
    await expect(events).to_have_count(60)
    await expect(events.first).to_contain_text("state 57 → after: state 58")
    await expect(events.last).to_contain_text("Collector added busy")
    await expect(screen.page.get_by_role("button", name="Show older")).to_have_count(0)


async def test_settings_are_shown_with_both_names_and_where_they_came_from_and_no_secret(
    locked: Product, unlocked: Screen
) -> None:
    page = unlocked.page
    rows = page.get_by_role("table", name="Settings").get_by_role("row")
    await expect(rows).to_have_count(1 + len(settings.rows()))
    await unlocked.row("--admin-token", "SIDECAR_ADMIN_TOKEN", "set, not shown", "option")
    await unlocked.row("--max-body", "SIDECAR_MAX_BODY", "8MiB", "default")
    await unlocked.row("--data", str(locked.data), "option")
    assert TOKEN not in await page.content()
    await page.get_by_label("Find settings").fill("drain")
    await expect(rows).to_have_count(2)
    await page.get_by_label("Find settings").fill("")
    await page.get_by_label("Only what was set").press("Space")
    await expect(rows.filter(has_text="--drain-delay")).to_have_count(1)
    await expect(rows.filter(has_text="--max-body")).to_have_count(0)
    assert await unlocked.axe() == []


async def may_read(product: Product, token: str) -> bool:
    headers = {"Authorization": f"Key {token}"}
    async with product.session.get(f"{product.admin}/v1/ledger", headers=headers) as response:
        return response.status == 200


async def test_a_key_is_made_copied_once_renewed_and_revoked(locked: Product, unlocked: Screen) -> None:
    page = unlocked.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await unlocked.open("keys")
    await page.get_by_role("button", name="Create key").press("Enter")
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.keyboard.type("prometheus")
    await page.keyboard.press("Enter")
    await page.get_by_text("Tick at least one").wait_for()
    await expect(page.get_by_label("read", exact=True)).to_be_focused()
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    field = page.get_by_label("Token", exact=True)
    await expect(field).to_be_focused()
    token = await field.input_value()
    assert await may_read(locked, token)
    assert await unlocked.axe() == []
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_text("Copied.").wait_for()
    assert await page.evaluate("navigator.clipboard.readText()") == token
    await unlocked.row("prometheus", "read", "by the admin token")
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_role("link", name="Keys", exact=True).click()
    await unlocked.row("prometheus")
    await expect(field).to_be_hidden()
    await expect(field).to_have_value("")
    assert token not in await page.content()

    await page.get_by_role("button", name="New token for prometheus").press("Enter")
    asked = page.get_by_role("alertdialog", name="A new token for prometheus?")
    await asked.get_by_role("button", name="New token").click()
    await expect(field).to_be_focused()
    renewed = await field.input_value()
    assert (await may_read(locked, token), await may_read(locked, renewed)) == (False, True)
    await page.get_by_role("button", name="Done").click()
    await page.get_by_role("button", name="Revoke prometheus").press("Enter")
    await page.get_by_role("alertdialog", name="Revoke prometheus?").get_by_role("button", name="Cancel").click()
    assert await may_read(locked, renewed)
    await page.get_by_role("button", name="Revoke prometheus").press("Enter")
    await page.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
    await page.get_by_text("prometheus is revoked.").wait_for()
    await expect(page.get_by_role("button", name="Revoke prometheus")).to_have_count(0)
    assert not await may_read(locked, renewed)
