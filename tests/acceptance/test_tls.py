"""`sidecar run` with TLS on both sides, as its users run it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import tenacity
from support.certificates import Identity
from support.product import Product, assert_sums_hold
from support.relay_end import Model, always, answer, predict
from support.trust import HOSTS, Trust, make_trust

BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}'
SAID = answer(b'{"outputs": []}', headers=b"Content-Type: application/json\r\n")
EVERY = "collector:\n  id: every\n  source: {model: digits}\n  pre_queue_random_sample: 1\n"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return make_trust(tmp_path_factory.mktemp("trust"))


async def _predict(product: Product, trust: Trust, client: Identity | None) -> str:
    """One call over a connection of its own; the number of the certificate that was shown."""
    host, _, port = product.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trust.authority.client(client))
    writer.write(predict(BODY))
    try:
        assert await asyncio.wait_for(reader.readexactly(len(SAID)), 10) == SAID
    finally:
        writer.close()
    return str(writer.get_extra_info("peercert")["serialNumber"])


async def test_a_collector_collects_over_tls_and_renewed_certificates_are_shown(trust: Trust, tmp_path: Path) -> None:
    shown = Identity(tmp_path / "tls.crt", tmp_path / "tls.key")
    for source, target in zip(trust.server, shown, strict=True):
        shutil.copy(source, target)
    model = Model(always(SAID))
    upstream = await model.start(tls=trust.model(needs_client=True))
    settings = {
        "tls_cert": str(shown.cert),
        "tls_key": str(shown.key),
        "tls_client_ca": str(trust.authority.path),
        "upstream_ca": str(trust.authority.path),
        "upstream_cert": str(trust.client.cert),
        "upstream_key": str(trust.client.key),
    }
    product = Product(tmp_path, str(upstream), **settings)
    product.policy("every", EVERY)
    async with product:
        first = await _predict(product, trust, trust.client)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await _predict(product, trust, None)
        ledger = await product.settled()
        assert_sums_hold(ledger)
        assert ledger["total"]["delivered"] == 1
        for old, fresh in zip(shown, trust.authority.sign("renewed", *HOSTS), strict=True):
            shutil.copy(fresh, old)
        renewed = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(lambda number: number == first),
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(20),
        )
        assert await renewed(_predict, product, trust, trust.client) != first
        assert '"no TLS with a client"' in product.log
        assert "holds a certificate that ends on" in product.log
        assert await product.terminate() == 0
    await model.stop()


def _sidecar(*arguments: str, home: Path) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    ended = subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments], capture_output=True, text=True, env=environment, cwd=home
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("command", ["check", "run"])
def test_certificates_that_cannot_be_used_are_said_before_anything_starts(
    command: str, trust: Trust, tmp_path: Path
) -> None:
    code, said = _sidecar(
        command,
        f"--tls-cert={trust.server.cert}",
        f"--tls-key={trust.client.key}",
        home=tmp_path,
    )
    assert code == 2
    assert f"--tls-key: the key in {trust.client.key} is not that of the certificate in {trust.server.cert}" in said
