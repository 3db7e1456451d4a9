"""Several relays on one address: one engine, one ledger, and nothing lost from the sums when one of them dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from support.clients import Client, Deaths, who_serves
from support.model_app import SURE, ModelApp, model_app
from support.product import Product, assert_sums_hold

CLIENTS = 60
"""So many that each of three relays has some, but for one run in ten thousand million."""
COLLECTOR = "collector: {id: kept, source: {model: digits, caller: alice}, pre_queue_random_sample: 1.0}"


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _: SURE) as app:
        yield app


def product_of(home: Path, model: ModelApp, workers: int, **settings: str) -> Product:
    product = Product(home, model.url, workers=str(workers), **settings)
    product.policy("kept", COLLECTOR)
    return product


def port_of(product: Product) -> int:
    return int(product.url.rpartition(":")[2])


def relays_of(product: Product) -> list[int]:
    return [product.process.pid, *product.worker_pids()]


async def connected(product: Product) -> list[Client]:
    """Clients that have been served once each."""
    clients = [await Client.of(port_of(product)) for _ in range(CLIENTS)]
    for client in clients:
        await client.predict("alice")
    return clients


class Load:
    """Clients that predict without a pause, every second one as a caller whom nobody watches."""

    def __init__(self, product: Product) -> None:
        self._port = port_of(product)
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.cut: list[int] = []
        """Ports of the clients whose connection ended."""
        self._rounds = 0
        self._is_over = False

    async def run(self, client: Client, caller: str) -> None:
        while not self._is_over:
            self.sent[caller] += 1
            try:
                await client.predict(caller)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.cut.append(client.port)
                client.leave()
                client = await Client.of(self._port)
            else:
                self.answered[caller] += 1
        client.leave()

    async def more(self) -> None:
        """Wait until as many predictions as there are clients, ten times over, have been answered."""
        enough = self.answered.total() + 10 * CLIENTS
        while self.answered.total() < enough:  # noqa: ASYNC110 - this loop's own tasks
            await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def of(self, clients: list[Client]) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as running:
            for number, client in enumerate(clients):
                running.create_task(self.run(client, ("alice", "bob")[number % 2]))
            yield
            self._is_over = True


class Watched:
    """The ledger, read again and again: its sums hold each time, and no count goes back."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._before: Counter[str] = Counter()

    async def look(self) -> dict[str, Any]:
        ledger: dict[str, Any] = await self._product.get("/v1/ledger")
        assert_sums_hold(ledger)
        exchanges = ledger["exchanges"]
        now = Counter({name: exchanges[name] for name in ("seen", "unwanted", "taken")}) + Counter(exchanges["lost"])
        assert not self._before - now, (self._before, now)
        self._before = now
        return ledger

    async def keep_looking(self) -> None:
        while True:
            await self.look()


@contextlib.contextmanager
def leaving(clients: list[Client]) -> Iterator[list[Client]]:
    try:
        yield clients
    finally:
        for client in clients:
            client.leave()


async def test_a_relay_that_is_killed_takes_its_own_clients_and_no_count(tmp_path: Path, model: ModelApp) -> None:
    async with product_of(tmp_path, model, 3) as product:
        clients = await connected(product)
        victim = product.worker_pids()[0]
        served = who_serves(port_of(product), relays_of(product))
        assert set(served.values()) == set(relays_of(product))

        load, ledger = Load(product), Watched(product)
        looking = asyncio.create_task(ledger.keep_looking())
        async with asyncio.timeout(60), load.of(clients):
            await load.more()
            deaths = Deaths([victim])
            os.kill(victim, signal.SIGKILL)
            await deaths.of(victim)
            await load.more()
        assert not looking.done(), looking.exception()
        looking.cancel()

        assert sorted(load.cut) == sorted(port for port, pid in served.items() if pid == victim)
        exchanges = (await product.settled())["exchanges"]
        assert set(exchanges["lost"]) <= {"relay_died"}
        assert load.answered["bob"] <= exchanges["unwanted"] <= load.sent["bob"]
        alices = exchanges["taken"] + exchanges["lost"].get("relay_died", 0)
        assert CLIENTS + load.answered["alice"] <= alices <= CLIENTS + load.sent["alice"] + len(load.cut)
        matched = (await ledger.look())["total"]["matched"]
        assert exchanges["taken"] <= matched <= CLIENTS + load.sent["alice"]

        await replaced(product, victim)
        product.kill_engine()  # which knew all of it: the relay keeps the books
        assert (await product.settled())["exchanges"]["relays"] == 3
        await ledger.look()


async def replaced(product: Product, victim: int) -> None:
    """Clients come until the relay in the victim's place serves one; each is served by some relay."""
    async with asyncio.timeout(30):
        while True:
            with leaving(await connected(product)):
                served = set(who_serves(port_of(product), relays_of(product)).values())
                assert victim not in served
                if len(served) == 3:
                    return


async def test_the_relays_show_the_counts_of_all_while_the_engine_is_away(tmp_path: Path, model: ModelApp) -> None:
    probes = f"127.0.0.1:{unused_port()}"
    async with product_of(tmp_path, model, 3, probes=probes) as product:
        with leaving(await connected(product)):
            await product.settled()
            metrics = f"http://{probes}/metrics"
            by_the_engine = await samples(product, metrics)
            [engine] = product.engine_pids()
            os.kill(engine, signal.SIGSTOP)
            alone = await samples(product, metrics)
            os.kill(engine, signal.SIGCONT)
    assert (by_the_engine.pop("sidecar_engine_up"), alone.pop("sidecar_engine_up")) == (1, 0)
    assert alone["sidecar_exchanges_seen_total"] == alone["sidecar_exchanges_taken_total"] == CLIENTS
    assert alone["sidecar_relays"] == 3
    assert alone["sidecar_relay_worker_deaths_total"] == 0
    shown_by_both = {name: by_the_engine.get(name) for name in alone if alone[name]}
    lagging = ("sidecar_relay_bytes", "sidecar_relay_connections")
    assert {
        name for name in shown_by_both if shown_by_both[name] != alone[name] and not name.startswith(lagging)
    } == set()
    assert None not in shown_by_both.values()


async def samples(product: Product, url: str) -> dict[str, float]:
    async with product.session.get(url) as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def test_the_others_end_at_once_when_the_first_relay_is_killed(tmp_path: Path, model: ModelApp) -> None:
    async with product_of(tmp_path, model, 3) as product:
        deaths = Deaths([*product.worker_pids(), *product.engine_pids()])
        product.process.kill()
        await deaths.of_all()


async def test_on_a_unix_socket_too(tmp_path: Path, model: ModelApp) -> None:
    path = tmp_path / "in.sock"

    async def five_more() -> dict[str, Any]:
        with leaving([await Client.of(path) for _ in range(5)]) as clients:
            for client in clients:
                await client.predict("alice")
        return await product.settled()

    async with product_of(tmp_path, model, 2, listen=f"unix:{path}") as product:
        await five_more()
        [victim] = product.worker_pids()
        deaths = Deaths([victim])
        os.kill(victim, signal.SIGKILL)
        await deaths.of(victim)
        ledger = await five_more()
        assert ledger["exchanges"]["seen"] == ledger["total"]["delivered"] == 10
        assert await product.terminate() == 0


async def test_a_folder_deleted_under_them_costs_what_was_in_it_and_no_more(tmp_path: Path, model: ModelApp) -> None:
    async with product_of(tmp_path, model, 2) as product:
        with leaving(await connected(product)) as clients:
            await product.settled()
            shutil.rmtree(product.data)
            deaths = Deaths(product.engine_pids())
            product.kill_engine()
            await deaths.of_all()
            for client in clients:
                await client.predict("alice")
            ledger = await product.settled()
        assert_sums_hold(ledger)
        exchanges = ledger["exchanges"]
        assert exchanges["seen"] == 2 * CLIENTS
        assert exchanges["taken"] + exchanges["lost"].get("engine_away", 0) == 2 * CLIENTS
        assert ledger["total"]["delivered"] == exchanges["taken"] - CLIENTS > 0
        assert (product.data.stat().st_mode & 0o777) == 0o700
        assert await product.terminate() == 0


async def test_a_second_signal_ends_all_at_once(tmp_path: Path, model: ModelApp) -> None:
    async with product_of(tmp_path, model, 2, drain_delay="600s") as product:
        deaths = Deaths([*product.worker_pids(), *product.engine_pids()])
        product.process.send_signal(signal.SIGTERM)
        while "stopping" not in product.log:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0)
        for worker in product.worker_pids():
            os.kill(worker, signal.SIGSTOP)  # not even one that hangs is waited for
        assert await product.terminate() == 128 + signal.SIGTERM
        await deaths.of_all()
