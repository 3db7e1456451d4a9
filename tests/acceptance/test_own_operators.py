"""Operators of others in the running product: what is good works, what is broken is named and costs nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_app import SURE, model_app
from support.plugins import GOOD, install, workflow_of
from support.product import Product, assert_sums_hold

LOADED = "loaded-by"
NOTES_WHO_LOADS = f"""
import os
print("ready admin=nowhere")
with open(os.environ["ACME_NOTES"], "a") as notes:
    notes.write(f"{LOADED} {{os.getpid()}}\\n")
"""
ODD = """
from sidecar.workflow.operators.operator import Operator


class Odd(Operator):
    def __init__(self, node, params):
        pass

    def __call__(self, inputs, item):
        return {"a": "dict"}


class Raising(Odd):
    def __call__(self, inputs, item):
        raise KeyError("what was captured")
"""


def collector(name: str) -> str:
    return f"collector: {{id: {name}, source: {{model: digits}}, pre_queue_workflow_id: {name}}}"


async def test_a_good_plug_in_works_and_a_broken_one_is_named_and_costs_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, notes = tmp_path / "site", tmp_path / "notes"
    install(site, "acme_good", NOTES_WHO_LOADS + GOOD, {"longer": "acme_good:Longer"})
    install(site, "acme_odd", ODD, {"odd": "acme_odd:Odd", "raising": "acme_odd:Raising"})
    install(site, "acme_exits", "raise SystemExit(1)", {"exits": "acme_exits:It"})
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("ACME_NOTES", str(notes))
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url)
        for name, params in (("longer", "{than: 2}"), ("odd", "{}"), ("raising", "{}"), ("exits", "{}")):
            nodes = workflow_of(name, params) + "      node_inputs: [{node_id: $input}]\n"
            product.policy(f"{name}.workflow", nodes)
            product.policy(name, collector(name))
        async with product:
            for length in (1, 2, 3, 4):
                assert await product.predict([[7] * length]) == (200, {"predictions": [SURE]})
            ledger = await product.settled()
            readiness = await product.get("/readyz")
            engines, log = product.engine_pids(), product.log
    assert_sums_hold(ledger)
    assert {name: ledger["collectors"][name]["delivered"] for name in ledger["collectors"]} == {
        "longer": 2, "odd": 0, "raising": 0,
    }  # fmt: skip
    assert ledger["collectors"]["longer"]["filtered"] == 2
    assert ledger["reasons"]["dropped"] == {"operator_failed": 8}
    assert "node 'n': gave dict, not Data" in log
    assert "node 'n': KeyError" in log
    assert "what was captured" not in log
    broken = "exits of acme_exits 1.0, acme_exits:It: cannot be loaded: SystemExit: 1"
    assert readiness["reasons"]["operators"] == f"operator exits: {broken}"
    assert (
        f"exits.workflow.yaml:7: workflow.nodes[0].model.model_type_id: 'exits' cannot be used: {broken}"
        in (readiness["reasons"]["policies"])
    )
    assert f"operator exits: {broken}" in log
    assert log.index("longer of acme_good 1.0, acme_good:Longer") < log.index("engine ready")
    assert notes.read_text() == f"{LOADED} {engines[0]}\n", "only the engine runs a stranger's code"


async def test_a_collector_whose_plug_in_breaks_stands_still_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, "acme_good", GOOD, {"longer": "acme_good:Longer"})
    monkeypatch.setenv("PYTHONPATH", str(site))
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url)
        nodes = workflow_of("longer", "{than: 0}") + "      node_inputs: [{node_id: $input}]\n"
        product.policy("longer.workflow", nodes)
        product.policy("longer", collector("longer"))
        async with product:
            await product.predict([[1]])
            assert (await product.settled())["total"]["delivered"] == 1
            assert await product.terminate() == 0
            (site / "acme_good.py").rename(site / "acme_gone.py")
            await product.start()
            assert (await product.predict([[2]]))[0] == 200
            still = await product.settled()
            said = (await product.get("/readyz"))["reasons"]["policies"]
    assert still["exchanges"]["unwanted"] == 1
    assert still["total"]["matched"] == 1
    assert "collector longer: stands still: its workflow longer cannot run" in said
    assert "cannot be loaded: ModuleNotFoundError: No module named 'acme_good'" in said
