"""The running product before all three brokers: what it says is delivered is there, also when it is killed before."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import orjson
from contract.end import End
from contract.kafka_end import KafkaEnd
from contract.nats_end import PASSWORD, NatsEnd
from contract.rabbitmq_end import RabbitMQEnd
from support.model_app import SURE, model_app
from support.product import Product, assert_sums_hold

from sidecar.store.database import Database, sqlite_url

INPUTS = 8
SECRETS: dict[type[End], str] = {KafkaEnd: "", NatsEnd: PASSWORD, RabbitMQEnd: "guest"}


async def started(end_type: type[End], home: Path, running: AsyncExitStack) -> End:
    folder = home / end_type.kind
    folder.mkdir()
    end = end_type(folder, await running.enter_async_context(Database(sqlite_url(folder))))
    await end.start()
    running.push_async_callback(end.stop)
    return end


def policy(end: End, secret: Path) -> str:
    options = {**end.options(), **({"password": {"file": str(secret)}} if secret.stat().st_size else {})}
    destination = orjson.dumps({end.kind: options}).decode()
    source = "source: {model: digits}, pre_queue_random_sample: 1"
    return f"collector: {{id: to-{end.kind}, {source}, destination: {destination}}}"


async def test_what_is_delivered_is_with_the_broker(tmp_path: Path) -> None:
    async with AsyncExitStack() as running, model_app(lambda _instance: SURE) as model:
        product = Product(tmp_path, model.url)
        ends = [await started(end_type, tmp_path, running) for end_type in SECRETS]
        for end, secret in zip(ends, SECRETS.values(), strict=True):
            place = tmp_path / f"{end.kind}.secret"
            place.write_text(secret)
            product.policy(end.kind, policy(end, place))
        async with product:
            await product.predict([[number] for number in range(INPUTS)], **{"X-Caller-Id": "alice"})
            await product.settled(pending=True)
            product.kill_engine()
            ledger = await product.settled()
        assert_sums_hold(ledger)
        assert ledger["total"]["delivered"] == INPUTS * len(ends)
        for end in ends:
            assert len(set(await end.stored())) == INPUTS
        assert PASSWORD not in product.log
