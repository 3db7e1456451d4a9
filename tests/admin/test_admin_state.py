"""Ledger, health, metrics and the page."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families
from support.admin import LEDGER, Admin

from sidecar import ui
from sidecar.admin.metrics import render
from sidecar.data import Data, Text
from sidecar.kit.metrics import Counters
from sidecar.store.inputs import StoredInput, insert_inputs


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(page.decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


async def test_the_ledger_is_what_it_is(admin: Admin) -> None:
    assert await admin.ask("GET", "/v1/ledger") == (200, LEDGER)


async def test_health_and_readiness(admin: Admin) -> None:
    admin.readiness |= {"relay": "", "policies": ""}
    assert await admin.ask("GET", "/healthz") == (200, {"status": "ok"})
    assert await admin.ask("GET", "/readyz") == (200, {"status": "ready", "reasons": {}})
    admin.readiness["policies"] = "a.yaml:3: is wrong"
    expected = {"status": "not ready", "reasons": {"policies": "a.yaml:3: is wrong"}}
    assert await admin.ask("GET", "/readyz") == (503, expected)


async def test_metrics_are_readable_and_name_their_reasons(admin: Admin) -> None:
    admin.shop.events.model_called("second", "ok", 0.25)
    async with admin.session.get(admin.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = samples(await response.read())
    assert found["sidecar_exchanges_lost_total", (("reason", "queue_full"),)] == 1
    assert found["sidecar_jobs_filtered_total", (("reason", "pre_queue"),)] == 2
    assert found["sidecar_jobs_dropped_total", (("reason", "no_output"),)] == 1
    assert found["sidecar_jobs_matched_total", ()] == 4
    assert found["sidecar_collector_jobs_total", (("collector", "c"), ("verdict", "delivered"))] == 1
    assert found["sidecar_model_calls_total", (("model", "second"), ("outcome", "ok"))] == 1
    assert found["sidecar_engine_up", ()] == 1
    assert all(name.startswith("sidecar_") for name, _ in found)


def test_metrics_take_flat_counts_and_any_label_text() -> None:
    counters = Counters()
    counters.add("sidecar_exchanges_lost_total", 9, reason="twice")
    counters.add("sidecar_odd_total", collector='a"b\\c\nd')
    found = samples(render(counters, {"seen": 3, "lost.too_large": 2, "open": 1}, {}, {}))
    assert found["sidecar_exchanges_lost_total", (("reason", "too_large"),)] == 2
    assert ("sidecar_exchanges_lost_total", (("reason", "twice"),)) not in found
    assert found["sidecar_odd_total", (("collector", 'a"b\\c\nd'),)] == 1
    assert found["sidecar_exchanges_open", ()] == 1


async def test_the_page_is_served_with_a_strict_policy(admin: Admin) -> None:
    for path, (media_type, content) in ui.pages().items():
        async with admin.session.get(admin.url + path) as response:
            assert await response.read() == content
            assert response.headers["Content-Type"] == media_type
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
            assert "unsafe" not in policy


def test_the_page_names_no_outside_address_and_writes_no_markup() -> None:
    for path, (_, content) in ui.pages().items():
        text = content.decode()
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}, path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|style=|onclick=", text), path


async def test_captured_markup_stays_text_on_its_way_to_the_page(admin: Admin) -> None:
    markup = "<script>document.title = 'owned'</script>"
    row = StoredInput("local", "main", "i", Data(text=Text(markup)), 1.0)
    await admin.shop.database.write(lambda connection: insert_inputs(connection, [row]))
    async with admin.session.get(admin.url + "/v2/inputs") as response:
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert (await response.json())["inputs"][0]["data"]["text"]["raw"] == markup
