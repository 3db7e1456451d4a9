"""The order of the demo: start everything, send the traffic, wait until all is settled, report, serve, stop.

Everything runs in child processes on free ports of the loopback address and in one temporary folder; whatever happens,
they are stopped in the order traffic, sidecar, models, and the folder is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import tenacity
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sidecar.cli.demo.children import DemoError, child, end_of, first_error
from sidecar.cli.demo.digits import held_out
from sidecar.cli.demo.policies import COLLECTED_CALLER, FILES, write_policies
from sidecar.cli.demo.report import Ledger, exchanges, faults, is_settled, jobs, latency_table, sum_table
from sidecar.cli.demo.traffic import Latencies, body_of, measure, send
from sidecar.settings import PREFIX

MEASURED_PAIRS = 400
SHARES = {COLLECTED_CALLER: 400, "bob": 300, "carol": 250, "": 150}
SENT = MEASURED_PAIRS + sum(SHARES.values())
SETTLE_SECONDS = 60.0
POLL_SECONDS = 0.1
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""A pool of threads costs more than one small image does."""
SIDECAR_LOG = "sidecar.log"
MODEL_SERVER = "sidecar.cli.demo.model_server"


class Stage(NamedTuple):
    """Where everything listens: URLs without a slash at the end; `direct` and `through` are of predict calls."""

    direct: str
    through: str
    second: str
    admin: str


async def play(console: Console, *, once: bool) -> int:
    """Run the demo and give its exit code: 0 when all that was sent is accounted for and something was kept.

    Without `once` it then serves until it is cancelled. Raises DemoError when it cannot go on.
    """
    with tempfile.TemporaryDirectory(prefix="sidecar-demo-") as name:
        folder = Path(name)
        async with _stage(console, folder) as stage:
            try:
                latencies = await _traffic(console, stage)
                with console.status("waiting until everything is settled"):
                    ledger = await _settled(stage.admin)
            except DemoError as error:
                raise DemoError(f"{error}{end_of(folder / SIDECAR_LOG)}") from error
            _show(console, ledger, latencies)
            missing = faults(ledger, SENT)
            if missing:
                console.print("\n".join(missing) + end_of(folder / SIDECAR_LOG), style="red", markup=False)
            code = 1 if missing else 0
            if once:
                return code
            with contextlib.suppress(asyncio.CancelledError):
                await _serve(console, stage)
    return code


@contextlib.asynccontextmanager
async def _stage(console: Console, folder: Path) -> AsyncIterator[Stage]:
    """Start the models, then the sidecar before the first; they stop in the opposite order."""
    write_policies(folder / "policies")
    async with contextlib.AsyncExitStack() as running:
        with console.status("training two models on scikit-learn's digits"):
            first, second = await _models(running, folder)
        with console.status("starting the sidecar"):
            options = _sidecar_options(folder, f"http://{first}", f"http://{second}/v1/models/second:predict")
            addresses = await running.enter_async_context(
                child("sidecar", ["sidecar", "run", *options], folder / SIDECAR_LOG, _environment())
            )
        path = "/v1/models/digits:predict"
        stage = Stage(
            direct=f"http://{first}{path}",
            through=f"http://{addresses['listen']}{path}",
            second=f"http://{second}/v1/models/second:predict",
            admin=f"http://{addresses['admin']}",
        )
        _show_stage(console, stage, folder)
        yield stage


async def _models(running: contextlib.AsyncExitStack, folder: Path) -> list[str]:
    """Start both model servers at once and give their addresses."""
    servers = [
        child(f"the {kind} model", [MODEL_SERVER, "--kind", kind], folder / f"{kind}.log", os.environ | ONE_THREAD)
        for kind in ("first", "second")
    ]
    try:
        async with asyncio.TaskGroup() as starting:
            ready = [starting.create_task(running.enter_async_context(server)) for server in servers]
    except* DemoError as group:
        raise first_error(group) from None
    return [task.result()["listen"] for task in ready]


def _sidecar_options(folder: Path, upstream: str, second: str) -> Sequence[str]:
    return (
        "--upstream", upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
        "--policies", str(folder / "policies"), "--data", str(folder / "data"),
        "--models", f"second={second}", "--drain-delay", "0s",
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Ours less the sidecar's settings: what is set for a real sidecar is not meant for this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


async def _traffic(console: Console, stage: Stage) -> Latencies:
    images = await asyncio.to_thread(held_out)
    bodies = [body_of(image) for image in images]
    start = MEASURED_PAIRS
    shares = {}
    for caller, count in SHARES.items():
        shares[caller] = [bodies[(start + index) % len(bodies)] for index in range(count)]
        start += count
    with _progress(console) as progress:
        crowd = progress.add_task(f"{_names()}: predict calls", total=sum(SHARES.values()))
        await send(stage.through, shares, lambda: progress.advance(crowd))
        alone = progress.add_task(f"{COLLECTED_CALLER} alone: latency", total=MEASURED_PAIRS)
        return await measure(
            stage.direct, stage.through, COLLECTED_CALLER, bodies[:MEASURED_PAIRS], lambda: progress.advance(alone)
        )


def _names() -> str:
    return ", ".join(caller or "nobody" for caller in SHARES)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("  {task.description:<42}"), BarColumn(28), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


async def _settled(admin: str) -> Ledger:
    """The ledger once nothing is on its way, or as it stands when that takes too long."""
    retrying = tenacity.AsyncRetrying(
        wait=tenacity.wait_fixed(POLL_SECONDS),
        stop=tenacity.stop_after_delay(SETTLE_SECONDS),
        retry=tenacity.retry_if_result(lambda ledger: not is_settled(ledger, SENT)),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else {},
    )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        ledger: Ledger = await retrying(_ledger, session, f"{admin}/v1/ledger")
    return ledger


async def _ledger(session: aiohttp.ClientSession, url: str) -> Ledger:
    try:
        async with session.get(url, raise_for_status=True) as response:
            ledger: Ledger = await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"the ledger at {url} cannot be read: {str(error) or type(error).__name__}") from error
    return ledger


async def _serve(console: Console, stage: Stage) -> None:
    """Stay until cancelled."""
    kept = f"{stage.admin}/#/inputs"
    console.print("[bold]Look at the kept digits[/]", f"[link={kept}]{kept}[/link]")
    console.print("Ctrl-C stops everything and leaves nothing behind.")
    await asyncio.Event().wait()


def _show_stage(console: Console, stage: Stage, folder: Path) -> None:
    rows = (
        ("model server", stage.direct, "logistic regression, 300 digits"),
        ("second model", stage.second, "nearest neighbours, 597 digits"),
        ("sidecar", stage.through, "what the callers use"),
        ("page", stage.admin + "/", "and the admin API"),
    )
    console.print("[bold]Running[/]")
    for name, address, what in rows:
        console.print(f"  {name:<14}{address:<52}[dim]{what}[/]")
    console.print(f"  {'policies':<14}{folder / 'policies'}/")
    console.print(f"  {'':<14}[dim]{' · '.join(FILES)}[/]\n")


def _show(console: Console, ledger: Ledger, latencies: Latencies) -> None:
    for table in (
        sum_table("Every exchange", exchanges(ledger)),
        sum_table(f"Every input of {COLLECTED_CALLER}'s calls", jobs(ledger)),
        latency_table(latencies),
    ):
        console.print()
        console.print(table)
    console.print()
