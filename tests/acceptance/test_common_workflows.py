"""The six common pre-queue workflows, as they stand in policies/, side by side through one running product."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.model_app import model_app
from support.product import Product, assert_sums_hold

from sidecar.delivery.destination import input_id_of
from sidecar.kit.ids import fraction

EXAMPLES = Path(__file__).parents[2] / "policies"
COMMON = {
    "sampled": "random sample",
    "from-mobile": "filter by metadata",
    "unsure": "max probability below",
    "torn": "min probability above",
    "sevens": "a specific concept above",
    "looped": "knowledge-graph mapping",
}
# waits for a destination that is not there, so that the ids of all exchanges can be read from its jobs
WITNESS = """
collector:
  id: witness
  source: {model: digits}
  pre_queue_random_sample: 1
  destination: {clarifai: {base_url: "http://127.0.0.1:9", user_id: u, app_id: a}}
"""
BATCHES, BATCH = 8, 30
PHONE, DESK = "Mozilla/5.0 (Linux; Android 16) Mobile", "Mozilla/5.0 (X11; Linux x86_64)"


def answer(instance: Any) -> list[float]:
    """Ten probabilities: of every third instance nothing is sure, the others' top digit comes round."""
    number = instance[0]
    if number % 3 == 0:
        return [0.1] * 10
    top = [0.81, 0.8, 0.6, 0.55, 0.95][number % 7 % 5]
    return [top if digit == number % 10 else (1.0 - top) / 9 for digit in range(10)]


class Sent(NamedTuple):
    number: int
    caller: str
    agent: str


class Run(NamedTuple):
    """What was sent, what each collector then had, and the ledger."""

    sent: tuple[Sent, ...]
    kept: Mapping[str, frozenset[int]]
    ids: Mapping[str, frozenset[str]]
    ledger: dict[str, Any]
    exchanges: frozenset[tuple[str, int]]
    """(exchange id, input index) of every input, where alice called."""


async def collect(home: Path) -> Run:
    async with model_app(answer) as model:
        product = Product(home, model.url, workers="2")
        for name in COMMON:
            for path in EXAMPLES.glob(f"{name}*.yaml"):
                shutil.copy(path, product.policies)
        product.policy("witness", WITNESS)
        async with product:
            sent = [each for number in range(BATCHES // 2) for each in await send(product, number)]
            assert await product.terminate() == 0
            await product.start()
            sent += [each for number in range(BATCHES // 2, BATCHES) for each in await send(product, number)]
            ledger = await product.eventually(
                "/v1/ledger", lambda said: said["exchanges"]["open"] or said["total"]["pending"] != BATCHES * BATCH
            )
            page = "/v2/inputs?per_page=1000&collector="
            inputs = {name: (await product.get(page + name))["inputs"] for name in COMMON}
            jobs = (await product.get("/v1/jobs?per_page=1000"))["jobs"]
    return Run(
        tuple(sent),
        {name: frozenset(each["data"]["tensors"][0]["value"][0] for each in kept) for name, kept in inputs.items()},
        {name: frozenset(each["id"] for each in kept) for name, kept in inputs.items()},
        ledger,
        frozenset((job["exchange_id"], job["input_index"]) for job in jobs if job["caller"] == "alice"),
    )


async def send(product: Product, number: int) -> list[Sent]:
    caller, agent = ("alice", "bob")[number % 2], (PHONE, DESK)[number // 2 % 2]
    numbers = range(number * BATCH, (number + 1) * BATCH)
    status, said = await product.predict([[each] for each in numbers], **{"X-Caller-Id": caller, "User-Agent": agent})
    assert (status, said) == (200, {"predictions": [answer([each]) for each in numbers]})
    return [Sent(each, caller, agent) for each in numbers]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return asyncio.run(collect(tmp_path_factory.mktemp("common")))


def top(number: int) -> tuple[int, float]:
    """The digit that the model names first, and its probability."""
    values = answer([number])
    return values.index(max(values)), max(values)


MEANT: dict[str, Callable[[Sent], bool]] = {
    "from-mobile": lambda sent: sent.agent == PHONE,
    "unsure": lambda sent: top(sent.number)[1] < 0.6,
    "torn": lambda sent: min(answer([sent.number])) > 0.01,
    "sevens": lambda sent: sent.caller == "alice" and top(sent.number)[0] == 7 and top(sent.number)[1] > 0.8,
    "looped": lambda sent: top(sent.number)[1] > 0.5 and top(sent.number)[0] in (0, 6, 8, 9),
}


@pytest.mark.parametrize("name", MEANT)
def test_exactly_the_inputs_are_kept_that_the_policy_means(run: Run, name: str) -> None:
    expected = {sent.number for sent in run.sent if MEANT[name](sent)}
    assert 0 < len(expected) < len(run.sent)
    assert run.kept[name] == expected
    matched = sum(sent.caller == "alice" or name != "sevens" for sent in run.sent)
    sums = run.ledger["collectors"][name]
    assert (sums["matched"], sums["delivered"], sums["filtered"]) == (matched, len(expected), matched - len(expected))


def test_the_sample_is_the_one_that_the_hash_draws_in_every_worker_and_life(run: Run) -> None:
    of_alice = run.exchanges
    assert len(of_alice) == sum(sent.caller == "alice" for sent in run.sent)
    drawn = [each for each in of_alice if fraction(bytes.fromhex(each[0]), each[1], "sampled", "tenth") < 0.1]
    assert run.ids["sampled"] == {input_id_of(exchange, index, "sampled") for exchange, index in drawn}
    assert run.kept["sampled"] <= {sent.number for sent in run.sent if sent.caller == "alice"}


def test_every_input_of_every_collector_is_accounted_for(run: Run) -> None:
    assert_sums_hold(run.ledger)
    assert set(run.ledger["collectors"]) == {*COMMON, "witness"}
    assert run.ledger["total"]["dropped"] == run.ledger["total"]["dead"] == 0


def test_each_of_the_six_is_one_short_file() -> None:
    assert set(COMMON) == {*MEANT, "sampled"}
    for name in COMMON:
        assert len((EXAMPLES / f"{name}.workflow.yaml").read_text().splitlines()) < 30
