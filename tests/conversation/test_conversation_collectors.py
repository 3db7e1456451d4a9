"""Ten thousand collectors: traffic goes on while they come, and an exchange costs what it costs with ten."""

from __future__ import annotations

import asyncio
import cProfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.model_app import SURE, model_app
from support.policies import plan
from support.product import Product, assert_sums_hold

from sidecar.collector import Collector, Source
from sidecar.frame import encode_index
from sidecar.proxy.admit import Admission

MANY = 10_000
AT_ONCE = 2500
INDEX_BYTES = 64
KNOWN_SECONDS = 30.0


def collectors(first: int) -> dict[str, Any]:
    """The API's body for `AT_ONCE` of them; each wants another caller, and one in ten another model too."""
    made = []
    for number in range(first, first + AT_ONCE):
        model = "digits" if number % 10 else f"model-{number}"
        source = {"model_id": model, "caller_user_id": f"caller-{number}"}
        made.append(
            {
                "id": f"collector-{number}",
                "pre_queue_random_sample": 1.0,
                "collector_source": {"api_post_model_outputs_collector_source": source},
            }
        )
    return {"collectors": made}


async def test_traffic_goes_on_while_ten_thousand_collectors_come(tmp_path: Path) -> None:
    is_over = asyncio.Event()

    async def call(product: Product) -> int:
        count = 0
        while not is_over.is_set():
            assert (await product.predict([[1]]))[0] == 200
            count += 1
        return count

    async with model_app(lambda _: SURE) as model, Product(tmp_path, model.url) as product:
        calling = asyncio.create_task(call(product))
        for first in range(0, MANY, AT_ONCE):
            async with product.session.post(f"{product.admin}/v2/collectors", json=collectors(first)) as response:
                assert response.status == 200, await response.text()
        is_over.set()
        answered = await calling
        async with asyncio.timeout(KNOWN_SECONDS):
            for number in (1, 4321, MANY - 1):
                answered += await predictions_until_kept(product, number)
        ledger = await product.settled()
        assert ledger["exchanges"]["seen"] == answered
        assert_sums_hold(ledger)


async def predictions_until_kept(product: Product, number: int) -> int:
    """How many of the collector's caller it took: a relay that reads a long index still has traffic to carry."""
    count = 0
    while f"collector-{number}" not in (await product.get("/v1/ledger"))["collectors"]:
        assert (await product.predict([[1]], **{"X-Caller-Id": f"caller-{number}"}))[0] == 200
        count += 1
    return count


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, Python's and the interpreter's own, are called for `work`."""
    work()  # what is remembered is remembered now
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def of_another_model(number: int) -> Collector:
    return Collector(f"c{number}", Source(f"model-{number}"))


def of_another_version(number: int) -> Collector:
    return Collector(f"c{number}", Source("digits", str(number), caller_user_id="somebody"))


def of_another_caller(number: int) -> Collector:
    return Collector(f"c{number}", Source("digits", caller_user_id=f"caller-{number}"))


HEADS = [
    b"POST /v2/models/digits/infer HTTP/1.1\r\nX-Caller-Id: alice\r\n\r\n",
    b"POST /v2/models/digits/versions/7/infer HTTP/1.1\r\nX-Caller-Id: alice\r\n\r\n",
    b"POST /v2/models/digits/infer HTTP/1.1\r\nAuthorization: Key k\r\n\r\n",
]


@pytest.mark.parametrize("other", [of_another_model, of_another_version, of_another_caller])
def test_an_exchange_costs_the_same_with_ten_thousand_collectors_as_with_ten(
    other: Callable[[int], Collector],
) -> None:
    admission = Admission("x-caller-id")

    def costs(count: int) -> list[int]:
        made = plan([Collector("mine", Source("digits", caller_user_id="alice")), *map(other, range(1, count))])
        admitting = [calls_of(partial(admission.fraction, head, head.lower(), made.index)) for head in HEADS]
        assert len(encode_index(made.index)) < INDEX_BYTES * count
        return [*admitting, calls_of(lambda: made.matcher.match("digits", "", "alice", "", "", 0.0))]

    assert costs(MANY) == costs(10)
