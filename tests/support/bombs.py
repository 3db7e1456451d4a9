"""What can go off in an engine: a huge body, an operator that does not come to an end, no memory left.

Each is harmless to whoever is not the engine. The engine that digests one is busy: see `outlasts`.
"""

from __future__ import annotations

import asyncio
import io
import resource
from pathlib import Path

import aiohttp

from support.product import Product

EATER = "eater"
LOOPER = "looper"
ROOM_BYTES = 32 << 20
QUESTIONS_AT_MOST = 2_000


def json_bomb(size_bytes: int) -> bytes:
    """A predict call's body: one instance of numbers, `size_bytes` long or a little less."""
    number = b"0.12345678,"
    return b'{"instances": [[' + number * (size_bytes // len(number) - 3) + b"0.5]]}"


def policies(rounds: int) -> dict[str, str]:
    """Two collectors, by name of the file: `EATER`'s calls are kept, over `LOOPER`'s a workflow goes round and round.

    Everybody else's calls are nothing to the engine.
    """
    hundred = "`[" + ",".join(map(str, range(100))) + "]`"
    some = "`[" + ",".join(map(str, range(rounds))) + "]`"
    loop = f"map(&length(map(&length(map(&length(map(&@, {hundred})), {hundred})), {hundred})), {some})"
    expression = f"caller == '{LOOPER}' && length({loop}) > `0`"
    node = f"model_id: loops, model_type_id: metadata-filter, output_info: {{params: {{expression: {expression!r}}}}}"
    return {
        "eats": f"collector: {{id: eats, source: {{model: digits, caller: {EATER}}}, pre_queue_random_sample: 1.0}}",
        "loops": f"collector: {{id: loops, source: {{model: digits, caller: {LOOPER}}}, pre_queue_workflow_id: loops}}",
        "loops.workflow": f"workflow: {{id: loops, nodes: [{{id: loops, model: {{{node}}}}}]}}",
    }


def leave_little_memory(pid: int) -> None:
    """From now on the process is refused all but `ROOM_BYTES` more."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmSize:"):
            most = (int(line.split()[1]) << 10) + ROOM_BYTES
            _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (most, hard))


async def throw(product: Product, caller: str, body: bytes = b'{"instances": [[1]]}') -> None:
    """A predict call like any other, and answered like any other."""
    url = f"{product.url}/v1/models/digits:predict"
    async with product.session.post(url, data=io.BytesIO(body), headers={"X-Caller-Id": caller}) as response:
        assert response.status == 200


async def outlasts(product: Product, predictions: int) -> None:
    """Predict, one after the other, until one question to the engine has waited for as many `predictions`.

    So it was busy, and they were not held up by it. Fails when it always answers sooner.
    """
    for _ in range(QUESTIONS_AT_MOST):
        asking = asyncio.create_task(_ask(product))
        answered = 0
        while not asking.done():
            assert (await product.predict([[1]]))[0] == 200
            answered += 1
            if answered == predictions:
                await asking
                return
    raise AssertionError("the engine was never busy")


async def _ask(product: Product) -> None:
    try:
        await product.get("/healthz")
    except aiohttp.ClientError:
        await asyncio.sleep(0)  # it is away
