"""What `collect` costs scoring code: processor time of the calling thread, while rows are really sent to a sidecar.

Also what importing the library costs a fresh interpreter that has nothing else installed. Run it alone:
`python tests/bench/collect_cost.py`; the goals are 50 µs a row of ten columns and 30 ms an import.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.rows_end import ROOT, RowsEnd, rows_end, run_command, run_scoring

ROUNDS = 9
MEASURE = """
import json, time
import numpy, pandas
from sidecar.datacollector import ModelDataCollector, flush
row = [0.5, 1, 2.5, 3, 4.5, 5, 6.5, "seven", True, None]
kinds = {
    "list": row,
    "numpy": numpy.arange(10) / 3,
    "pandas": pandas.DataFrame(numpy.ones((1, 10))),
    "pandas, several types": pandas.DataFrame([row]),
}
collector = ModelDataCollector("digits", "inputs", [f"feature_{number}" for number in range(10)])
found = {name: [] for name in kinds}
for _ in range(9):
    for name, data in kinds.items():
        began = time.thread_time_ns()
        for _ in range(500):
            collector.collect(data, "a correlation id")
        found[name].append((time.thread_time_ns() - began) / 500 / 1000)
        assert flush(60)
print(json.dumps(found))
"""
IMPORT = """
import sys, time
sys.path.insert(0, {root!r})
began = time.process_time()
from sidecar.datacollector import ModelDataCollector
print((time.process_time() - began) * 1000)
"""


async def collect_microseconds() -> dict[str, float]:
    """The median cost of a `collect` by kind of data, in µs of the calling thread's processor time."""
    with tempfile.TemporaryDirectory() as folder:
        async with rows_end(join_seconds=0, body_bytes=2**26, all_bytes=2**28) as end:
            draining = asyncio.create_task(_drain(end))
            code, out, errors = await run_scoring(MEASURE, folder=Path(folder), SIDECAR_MDC=end.address)
            draining.cancel()
    if code or errors:
        raise RuntimeError(errors)
    return {name: statistics.median(costs) for name, costs in json.loads(out).items()}


async def _drain(end: RowsEnd) -> None:
    while await end.queue.get_batch(1000):
        pass


async def import_milliseconds() -> float:
    """The median cost of the import, in ms of processor time, its bytecode compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "score.py").write_text(IMPORT.format(root=str(ROOT)))
        command = [sys.executable, "-I", "-S", "score.py"]
        runs = [await run_command(command, folder=Path(folder)) for _ in range(ROUNDS + 1)]
    return statistics.median(float(out) for _, out, _ in runs[1:])


if __name__ == "__main__":
    for kind, cost in asyncio.run(collect_microseconds()).items():
        print(f"collect, {kind}: {cost:.1f} µs")
    print(f"import: {asyncio.run(import_milliseconds()):.1f} ms")
