"""The product as its users run it: `sidecar run` as a child process on free ports, spoken to over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import tenacity

from support import described

READY_SECONDS = 30.0
SETTLED_SECONDS = 60.0


class Product:
    """One `sidecar run` on the folder `home`; started, killed and started again as a test likes."""

    def __init__(self, home: Path, upstream: str, **settings: str) -> None:
        self.home = home
        self.policies = home / "policies"
        self.data = home / "data"
        self.policies.mkdir(exist_ok=True)
        self._settings = {
            "upstream": upstream,
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "policies": str(self.policies),
            "data": str(self.data),
            "drain_delay": "0s",
            **settings,
        }
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""
        self.admin = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the product is entered with `async with`")
        return self._session

    @property
    def process(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the product was not started")
        return self._process

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def policy(self, name: str, text: str) -> None:
        (self.policies / f"{name}.yaml").write_text(text)

    async def start(self) -> None:
        """Start it and wait for the line that says that relay and engine are ready."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._settings.items()]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
        with (self.home / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sidecar", "run", *options,
                stdout=asyncio.subprocess.PIPE, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        if self._process.stdout is None:
            raise RuntimeError("no standard output")
        line = (await asyncio.wait_for(self._process.stdout.readline(), READY_SECONDS)).decode()
        if not line.startswith("ready "):
            raise RuntimeError(f"not ready: {line!r}\n{self.log}")
        addresses = dict(part.split("=", 1) for part in line.split()[1:])
        self.url = f"http://{addresses['listen']}"
        self.admin = f"http://{addresses['admin']}"

    async def terminate(self) -> int:
        """SIGTERM; gives the exit code once it has drained and ended."""
        self.process.send_signal(signal.SIGTERM)
        return await self._ended()

    async def kill(self) -> None:
        """kill -9 of every process; safe twice."""
        for pid in (self.process.pid, *self._children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._ended()

    async def _ended(self) -> int:
        """The exit code, once the process is gone and so is every one that holds its standard output."""
        if self.process.stdout is not None:
            await self.process.stdout.read()
        return await self.process.wait()

    def engine_pids(self) -> list[int]:
        return self._children("engine")

    def worker_pids(self) -> list[int]:
        """The relays beside the first one, oldest first."""
        return self._children("relay")

    def _children(self, command: str = "") -> list[int]:
        """The first relay's children, those that run `sidecar command`."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in path.read_text().split() if not command or command in _arguments(pid)]
        return []

    def kill_engine(self) -> None:
        for pid in self.engine_pids():
            os.kill(pid, signal.SIGKILL)

    async def predict(self, instances: list[Any], model: str = "digits", **headers: str) -> tuple[int, Any]:
        """One predict call through the relay: the status and the answer's JSON."""
        url = f"{self.url}/v1/models/{model}:predict"
        async with self.session.post(url, json={"instances": instances}, headers=headers) as response:
            return response.status, await response.json()

    async def ask(self, method: str, path: str, content: object = None) -> tuple[int, Any]:
        """One call to the admin API: the status and the answer's JSON."""
        async with self.session.request(method, self.admin + path, json=content) as response:
            answer = await response.json()
            described.hold(method, path, response.status, answer)
            return response.status, answer

    async def get(self, path: str) -> Any:
        return (await self.ask("GET", path))[1]

    async def settled(self, *, pending: bool = False) -> dict[str, Any]:
        """The ledger once no exchange is open and, unless `pending`, no job is pending."""

        def is_busy(ledger: dict[str, Any]) -> bool:
            exchanges = ledger["exchanges"]
            return bool(not exchanges["relays"] or exchanges["open"] or (ledger["total"]["pending"] and not pending))

        ledger: dict[str, Any] = await self.eventually("/v1/ledger", is_busy)
        return ledger

    async def eventually(self, path: str, is_too_early: Callable[[Any], bool]) -> Any:
        """The admin's answer to `path`, asked until `is_too_early(answer)` is false; the last one when time is up."""
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(is_too_early) | tenacity.retry_if_exception_type(aiohttp.ClientError),
            wait=tenacity.wait_fixed(0.05),
            stop=tenacity.stop_after_delay(SETTLED_SECONDS),
        )
        return await tries(self.get, path)


def _arguments(pid: str) -> list[str]:
    """What a process was started with; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def assert_sums_hold(ledger: dict[str, Any]) -> None:
    """Both sums of the ledger, and each collector's; in the shape that is said of it."""
    described.hold("GET", "/v1/ledger", described.OK, ledger)
    exchanges = ledger["exchanges"]
    decided = exchanges["unwanted"] + exchanges["taken"] + sum(exchanges["lost"].values()) + exchanges["open"]
    assert exchanges["seen"] == decided, exchanges
    for key, sums in {"total": ledger["total"], **ledger["collectors"]}.items():
        ended = sum(sums[name] for name in ("filtered", "delivered", "dead", "dropped", "pending"))
        assert sums["matched"] == ended, (key, sums)
