"""The toolbox keeps what it says."""

from __future__ import annotations

import asyncio
import io
import json
import multiprocessing
import stat
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kit import ids, logs, sizes
from sidecar.kit.clock import rfc3339
from sidecar.kit.files import locked, write_whole
from sidecar.kit.metrics import Counters
from sidecar.kit.tasks import Tasks


@pytest.mark.parametrize(("text", "size"), [("4096", 4096), ("64MiB", 2**26), ("1.5 kB", 1500), ("2g", 2 * 10**9)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert sizes.parse_bytes(text) == size


@given(st.integers(0, 2**50))
def test_a_size_that_is_shown_reads_back(size: int) -> None:
    assert sizes.parse_bytes(sizes.format_bytes(size)) == size


@given(st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_that_is_shown_reads_back(seconds: float) -> None:
    assert sizes.parse_seconds(sizes.format_seconds(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1s", "5 weeks", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        sizes.parse_seconds(text)


def test_ids_do_not_repeat_across_pools() -> None:
    draw = ids.OrderedIds()
    drawn = [draw() for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert {len(value) for value in drawn} == {16}


def test_ids_sort_by_the_time_of_their_pool() -> None:
    before = time.time_ns() // 1_000_000
    draw = ids.OrderedIds()
    drawn = [draw() for _ in range(1000)]
    times = [int.from_bytes(each[: ids.TIME_BYTES], "big") for each in drawn]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time_ns() // 1_000_000


def test_what_is_drawn_from_an_id_is_even_whatever_its_time() -> None:
    draw = ids.OrderedIds()
    tenths = Counter(int(ids.fraction_of_id(draw()) * 10) for _ in range(10_000))
    assert set(tenths) == set(range(10))
    assert min(tenths.values()) > 800


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_hash_keeps_its_parts_apart(first: bytes, second: bytes) -> None:
    assert (ids.digest(first, second) == ids.digest(first + second, b"")) == (second == b"")


def test_a_hashed_fraction_is_the_same_in_every_process() -> None:
    assert ids.fraction(b"\x01" * 16, 3, "collector", "node") == pytest.approx(0.4973313470356727)
    assert ids.fraction_of_id(b"\x01" * 8 + b"\x80" + b"\0" * 7) == 0.5


def test_a_time_is_written_as_the_contract_writes_it() -> None:
    assert rfc3339(1491951050.223962) == "2017-04-11T22:50:50.223962Z"


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    write_whole(path, b"one", mode=0o600)
    write_whole(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def _try_lock(path: Path, taken: multiprocessing.synchronize.Event) -> None:
    with locked(path):
        taken.set()


def test_a_lock_is_held_against_other_processes_and_let_go(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    with locked(tmp_path / "lock"):
        other = context.Process(target=_try_lock, args=(tmp_path / "lock", taken))
        other.start()
        assert not taken.wait(0.5)
    assert taken.wait(10)
    other.join(10)
    assert other.exitcode == 0


async def test_tasks_are_ended_with_their_owner_and_failures_are_said() -> None:
    said: list[tuple[str, str]] = []
    tasks = Tasks(lambda name, error: said.append((name, str(error))))

    async def fails() -> None:
        raise ValueError("broken")

    forever = tasks.start(asyncio.Event().wait(), "forever")
    tasks.start(fails(), "fails")
    await asyncio.wait([forever], timeout=0.01)
    assert said == [("fails", "broken")]
    assert len(tasks) == 1
    await tasks.stop()
    await tasks.stop()
    assert forever.cancelled()
    assert len(tasks) == 0


def test_counters_add_up_by_name_and_labels() -> None:
    counters = Counters()
    counters.add("lost", reason="full")
    counters.add("lost", 2, reason="full")
    counters.add("lost", reason="away")
    assert counters.get("lost", reason="full") == 3
    assert list(counters) == [("lost", (("reason", "full"),), 3), ("lost", (("reason", "away"),), 1)]


def test_a_log_line_is_json_where_no_terminal_reads_it() -> None:
    stream = io.StringIO()
    log = logs.configure("info", stream, process="relay")
    log.debug("unheard")
    log.info("heard", count=3)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["count"], line["process"], line["level"]) == ("heard", 3, "relay", "info")
