"""Compare the cost of a predict call behind ours and behind other proxies: one run, contestants in turn, medians.

    python tests/bench/compare.py --rounds 5 --seconds 4

Not a test: what it says depends on the machine and on who else uses it. The ratios travel better than the figures.
Writes the page to tests/bench/results/first.md with `--write`. Needs nginx and wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from contestants import NGINX, Server, model, nginx, sidecar, usual_proxy
from measure import WRK, Sample, ledger, run
from page import OURS, YARDSTICK, Method, medians, report

HERE = Path(__file__).parent
RESULT = HERE / "results/first.md"
NUMBERS = 186
RATE = 3000
"""What the slowest contestant still serves with ease, so that all are asked for the same work."""


def predict_body() -> bytes:
    """A predict call of about 1.4 kB: one row of numbers."""
    numbers = random.Random(0)
    row = [round(numbers.uniform(0.1, 1), 4) for _ in range(NUMBERS)]
    return json.dumps({"instances": [row]}).encode()


@contextlib.contextmanager
def everyone(folder: Path) -> Iterator[dict[str, Server]]:
    """All contestants by name, running."""
    with contextlib.ExitStack() as running:
        upstream = running.enter_context(model(folder / "model"))
        sink = running.enter_context(model(folder / "sink"))
        at = upstream.address
        started = {
            YARDSTICK: nginx(folder / "nginx", at),
            "nginx, mirroring": nginx(folder / "mirror", at, sink.address),
            "sidecar, no collector": sidecar(folder / "idle", at, collects=False),
            OURS: sidecar(folder / "collecting", at, collects=True),
            "usual aiohttp proxy": usual_proxy(folder / "usual", at),
        }
        servers = {name: running.enter_context(server) for name, server in started.items()}
        yield {"direct": upstream._replace(pid=0)} | servers


def measure(servers: Mapping[str, Server], rounds: int, seconds: int, body: Path, rate: int) -> dict[str, list[Sample]]:
    """All contestants in turn, `rounds` times, beginning with another one each time."""
    samples: dict[str, list[Sample]] = {name: [] for name in servers}
    names = list(servers)
    script = HERE / "predict.lua"
    for name in names:
        run(servers[name], 1, script, body, rate)
    for index in range(rounds):
        at = index % len(names)
        for name in names[at:] + names[:at]:
            sample = run(servers[name], seconds, script, body, rate)
            samples[name].append(sample)
            note = f", {sample.errors} errors" if sample.errors else ""
            print(f"round {index + 1}  {name:<24}{sample.processor_us:8.1f} µs{note}", file=sys.stderr, flush=True)
    return samples


def account(server: Server) -> str:
    """What became of the exchanges that ours has seen."""
    found = ledger(server)
    exchanges, total = found["exchanges"], found["total"]
    lost = sum(exchanges["lost"].values())
    seen = max(exchanges["seen"], 1)
    flattered = " A lost exchange costs the engine nothing: the processor time is too low by that." if lost else ""
    return (
        f"Of {exchanges['seen']:,} exchanges {exchanges['taken'] / seen:.2%} were taken and {lost / seen:.2%} lost; "
        f"{total['matched']:,} inputs matched, {total['delivered']:,} were kept.{flattered}"
    )


def main() -> int:
    """Run the comparison as the command line says; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--rate", type=int, default=RATE, help="calls a second offered to each; 0: as many as will go")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULT.name}")
    given = parser.parse_args()
    missing = [tool for tool in (NGINX, WRK) if shutil.which(tool) is None]
    if missing:
        print(f"not installed: {' and '.join(missing)} (Debian: apt-get install nginx-light wrk)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as name, everyone(Path(name)) as servers:
        body = Path(name, "body.json")
        body.write_bytes(predict_body())
        samples = measure(servers, given.rounds, given.seconds, body, given.rate)
        kept = account(servers[OURS])
        size = body.stat().st_size
    method = Method(given.rounds, given.seconds, given.rate, size)
    text = report({key: medians(value) for key, value in samples.items()}, kept, method)
    print(text)
    if given.write:
        RESULT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
