"""Detectors of others in the running product: what they find is nowhere, what they fail on is dropped, what is broken
is named and costs the collectors that name it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.model_app import SURE, model_app
from support.plugins import NAMES, install
from support.product import Product, assert_sums_hold

GROUP = "sidecar.detectors"


def collector(name: str, detectors: str) -> str:
    return (
        f"collector: {{id: {name}, source: {{model: digits}}, pre_queue_random_sample: 1,"
        f" redact: [{{detect: [{detectors}]}}]}}"
    )


async def test_a_plug_in_finds_in_every_text_and_what_it_fails_on_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, "acme_names", f"print('ready admin=nowhere')\n{NAMES}", {"names": "acme_names:Names"}, GROUP)
    install(site, "acme_exits", "raise SystemExit(1)", {"exits": "acme_exits:It"}, GROUP)
    monkeypatch.setenv("PYTHONPATH", str(site))
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url)
        product.policy("named", collector("named", "email, names"))
        product.policy("broken", collector("broken", "exits"))
        product.policy("plain", collector("plain", "email"))
        async with product:
            product_kept = {}
            for text in ("Zed writes to ann@example.com", "boom Zed", "nobody"):
                assert (await product.predict([[text]]))[0] == 200
            ledger = await product.settled()
            for name in ("named", "plain"):
                product_kept[name] = json.dumps(await product.get(f"/v2/inputs?collector={name}"))
            readiness = (await product.get("/readyz"))["reasons"]
            record = {"model": "digits", "redact": [{"detect": ["gone"]}]}
            async with product.session.post(f"{product.admin}/v1/record", json=record) as response:
                assert response.status == 400
                assert "'gone' is no detector; known: email, card, ip, phone, names" in await response.text()
            log = product.log
    assert_sums_hold(ledger)
    assert {name: sums["delivered"] for name, sums in ledger["collectors"].items()} == {"named": 2, "plain": 3}
    assert ledger["reasons"]["dropped"] == {"unredactable": 1}
    assert "[names] writes to [email]" in product_kept["named"]
    assert "Zed" not in product_kept["named"]
    assert "Zed writes to [email]" in product_kept["plain"]
    assert "Zed" not in log
    broken = "exits of acme_exits 1.0, acme_exits:It: cannot be loaded: SystemExit: 1"
    assert f"detector exits: {broken}" in readiness["operators"]
    assert f"'exits' cannot be used: {broken}" in readiness["policies"]
    assert log.index("names of acme_names 1.0, acme_names:Names") < log.index("engine ready")
