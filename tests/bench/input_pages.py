"""How long a page of a filtered listing takes among 100,000 inputs: `python tests/bench/input_pages.py`.

Nothing is asserted here: the smaller case in tests/store is.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from sidecar.store.database import Database, sqlite_url
from sidecar.store.input_search import Place, Wanted
from sidecar.store.inputs import StoredInput, insert_inputs, list_inputs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.many_inputs import APP, WISHES, made

INPUTS = 100_000
BATCH = 512
ROUNDS = 5
MORE = {
    "nobody's": Wanted(caller="nobody"),
    "nobody's of a concept": Wanted(caller="nobody", concept="cat"),
    "nobody's with a word": Wanted(caller="nobody", text="refund"),
    "a word, with no such concept": Wanted(text="refund", concept="cow"),
    "a word, with no such value": Wanted(text="refund", concept="cat", least=2),
}


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Database(sqlite_url(Path(folder))) as database:
            inputs = made(INPUTS)
            began = time.process_time()
            for start in range(0, INPUTS, BATCH):
                await database.write(_insertion(inputs[start : start + BATCH]))
            print(f"inserted at {(time.process_time() - began) / INPUTS * 1e6:.0f} µs of processor time each")
            for name, wanted in {**{name: wish for name, (wish, _) in WISHES.items()}, **MORE}.items():
                for place in (None, Place(INPUTS / 2, "")):
                    times = [await _timed(database, wanted, place) for _ in range(ROUNDS)]
                    where = "from the middle" if place else "the newest"
                    print(f"{name:30} {where:16} {min(times):6.1f} ms, at most {max(times):6.1f} ms")


def _insertion(inputs: list[StoredInput]) -> Callable[[Connection], object]:
    return lambda connection: insert_inputs(connection, inputs)


async def _timed(database: Database, wanted: Wanted, before: Place | None) -> float:
    began = time.perf_counter()
    await database.read(lambda connection: list_inputs(connection, *APP, per_page=20, wanted=wanted, before=before))
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    asyncio.run(main())
