"""How the product starts and ends: alone on its folder, at once for a person, in order for a kubelet."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from support.model_app import SURE, model_app
from support.product import Product

from sidecar.proxy.engine_socket import engine_socket_path

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


async def test_a_person_who_stops_it_does_not_wait_for_a_load_balancer(tmp_path: Path) -> None:
    async with model_app(lambda _: SURE) as model:
        product = Product(tmp_path, model.url, drain_delay="600s")
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
