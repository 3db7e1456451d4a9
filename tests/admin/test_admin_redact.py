"""The field `redact` over HTTP: shown as it was written, replaced as a whole, refused by name."""

from __future__ import annotations

from support.admin import Admin

SHORT = "/v2/collectors"
RULES = [{"remove": "input.text"}, {"mask": r"\d{9}", "to": "[id]"}, {"detect": ["phone"], "regions": ["DE"]}]
NEW = {"id": "c", "source": {"model": "digits"}, "pre_queue_random_sample": 0.5, "redact": RULES}


async def test_rules_are_shown_kept_and_replaced(admin: Admin) -> None:
    status, posted = await admin.ask("POST", SHORT, {"collectors": [NEW]})
    assert (status, posted["collectors"][0]["redact"]) == (200, RULES)
    await admin.ask("PATCH", SHORT, {"collectors": [{"id": "c", "description": "new"}], "action": "overwrite"})
    await admin.shop.catalog.open()
    _, got = await admin.ask("GET", f"{SHORT}/c")
    assert (got["collector"]["description"], got["collector"]["redact"]) == ("new", RULES)
    change = {"id": "c", "redact": [{"detect": ["email"]}]}
    await admin.ask("PATCH", SHORT, {"collectors": [change], "action": "overwrite"})
    _, got = await admin.ask("GET", f"{SHORT}/c")
    assert got["collector"]["redact"] == change["redact"]


async def test_a_broken_rule_is_refused_by_its_place(admin: Admin) -> None:
    status, answer = await admin.ask("POST", SHORT, {"collectors": [{**NEW, "redact": [{"mask": "("}]}]})
    assert status == 400
    assert "redact[0].mask: is no RE2 expression" in answer["status"]["details"]
    assert admin.shop.catalog.snapshot.collectors == ()
