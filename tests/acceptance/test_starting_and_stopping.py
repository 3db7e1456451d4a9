"""How the product starts and ends: alone on its folder, at once for a person, in order for a kubelet."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port
from support.clients import Client, Deaths, who_serves
from support.model_app import SURE, model_app
from support.product import Product
from support.relay_end import Model, answer, read_request

from sidecar.proxy.engine_socket import engine_socket_path
from sidecar.queue.ledger import read_ledger
from sidecar.store.database import Database, sqlite_url

COLLECTOR = "collector: {id: kept, source: {model: digits}, pre_queue_random_sample: 1}"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_second_sidecar_on_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url)
        product.policy("collector", COLLECTOR)
        async with product:
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sidecar", "run", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0",
                f"--data={product.data}", stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, said = await second.communicate()
            await product.predict([[1]])
            ledger = await product.settled()
    assert second.returncode == 2
    assert f"is in use by process {product.process.pid}" in said.decode()
    assert ledger["total"]["delivered"] == 1


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_person_who_stops_it_does_not_wait_for_a_load_balancer(tmp_path: Path, workers: str) -> None:
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url, drain_delay="600s", workers=workers)
        async with product:
            await product.predict([[1]])
            product.process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(product.process.wait(), 30) == 0


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url, drain_delay="600s")
        async with product:
            product.process.send_signal(signal.SIGTERM)
            await product.predict([[1]])
            product.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(product.process.wait(), 30) == 128 + signal.SIGTERM
            assert product.engine_pids() == []


@pytest.mark.parametrize("depth", [1, 12])
async def test_nothing_is_left_of_the_engines_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    home = tmp_path.joinpath(*["a-rather-long-name"] * depth)
    home.mkdir(parents=True)
    async with model_app(lambda _: SURE) as model:
        product = Product(home, model.url)
        async with product:
            await product.predict([[1]])
            assert await product.terminate() == 0
    assert not engine_socket_path(product.data).exists()
    assert names_in(tmp_path) == ["a-rather-long-name"]


AT_ONCE, WHEN_TOLD, NEVER = 1, 2, 3
IDLE_CLIENTS = 20
DRAIN_DELAY_SECONDS = 2.0
GRACE_SECONDS = 2.0


class PatientModel:
    """A model that answers at once, when a test says so, or never, as an instance asks for."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.asked = {instance: asyncio.Event() for instance in (AT_ONCE, WHEN_TOLD, NEVER)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = (await read_request(reader)).partition(b"\r\n\r\n")[2]
            [[instance]] = json.loads(body)["instances"]
            self.asked[instance].set()
            if instance == WHEN_TOLD:
                await self.may_answer.wait()
            if instance == NEVER:
                await reader.read()
                return
            writer.write(answer(b'{"predictions": [[0.9, 0.1]]}'))


@pytest.fixture
async def patient() -> AsyncIterator[tuple[PatientModel, str]]:
    patient = PatientModel()
    model = Model(patient.serve)
    address = await model.start()
    yield patient, f"http://{address}"
    await model.stop()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _readiness(product: Product, probes: str) -> int:
    async with product.session.get(f"http://{probes}/readyz") as response:
        return response.status


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_takes_its_steps_in_order_and_each_its_time(
    tmp_path: Path, patient: tuple[PatientModel, str], workers: int
) -> None:
    model, url = patient
    probes = f"127.0.0.1:{unused_port()}"
    times = {"drain_delay": f"{DRAIN_DELAY_SECONDS}s", "grace": f"{GRACE_SECONDS}s"}
    product = Product(tmp_path, url, probes=probes, workers=str(workers), **times)
    product.policy("collector", COLLECTOR)
    now = asyncio.get_running_loop().time
    async with asyncio.timeout(60), product:
        port = int(product.url.rpartition(":")[2])
        idle = [await Client.of(port) for _ in range(IDLE_CLIENTS)]
        for client in idle:
            await client.predict()
        relays = [product.process.pid, *product.worker_pids()]
        served = who_serves(port, relays)
        slow, endless, *_ = (client for client in idle if served[client.port] == relays[-1])
        slow.ask(instance=WHEN_TOLD)
        endless.ask(instance=NEVER)
        await model.asked[WHEN_TOLD].wait()
        await model.asked[NEVER].wait()
        engine, first = product.engine_pids()[0], product.process.pid
        deaths = Deaths([*relays, engine])

        assert await _readiness(product, probes) == 200
        began = now()
        product.process.send_signal(signal.SIGTERM)

        # the balancer learns of it, while whoever comes is still served
        while await _readiness(product, probes) == 200:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0)
        newcomer = await Client.of(port)
        await newcomer.predict()

        # the listener is closed, and who is idle
        for client in (*(client for client in idle if client not in (slow, endless)), newcomer):
            assert await client.reader.read() == b""
            client.leave()
        assert now() - began >= DRAIN_DELAY_SECONDS
        with pytest.raises(ConnectionRefusedError):
            await Client.of(port)

        # what is open ends, in the last relay alone
        model.may_answer.set()
        assert (await slow.answer()).endswith(b'{"predictions": [[0.9, 0.1]]}')
        assert await slow.reader.read() == b""
        slow.leave()

        # what does not is cut, no sooner than it may be
        with pytest.raises(ConnectionResetError):
            await endless.reader.read()
        assert now() - began >= DRAIN_DELAY_SECONDS + GRACE_SECONDS
        endless.leave()

        # the engine drains after all relays and ends before the first one
        await deaths.of(first)
        assert not is_there(engine)
        await deaths.of_all()
        assert await product.process.wait() == 0
        said = [json.loads(line) for line in product.log.splitlines() if line.startswith("{")]
        steps = [f"{line['process']} {line['event']}" for line in said if line["event"] in ("stopping", "stopped")]
        by_others = ["relay 2 stopping", "relay 2 stopped"] if workers == 2 else []
        assert sorted(steps[:-3]) == sorted(["relay stopping", *by_others])
        assert steps[-3:] == ["engine stopping", "engine stopped", "relay stopped"]

    # all that was seen is in the database
    async with Database(sqlite_url(product.data)) as database:
        ledger = await read_ledger(database)
    assert ledger.holds
    assert ledger.total.matched == IDLE_CLIENTS + len([slow, endless, newcomer])
