"""What is read out of /proc, the ledger, and the words of the tools."""

from __future__ import annotations

import os
import subprocess
import sys

import ledger
import pytest
from faults import MeasurementError
from load import Closed, read_h2load, read_wrk
from processes import (
    Memory,
    family,
    memory,
    processor_seconds,
    read_memory,
    read_processor_seconds,
    together,
    used_seconds,
)
from tools import read_version

TICKS = os.sysconf("SC_CLK_TCK")
STAT = "77 (a) b (c) S 1 77 77 0 -1 4194304 900 0 0 0 {user} {system} 5 6 20 0 1 0 100 1000000 500"
ROLLUP = """\
55d0-7ffd ---p 00000000 00:00 0                          [rollup]
Rss:               46000 kB
Pss:               31000 kB
Pss_Dirty:         20000 kB
Shared_Clean:      17000 kB
Private_Dirty:     20000 kB
"""


def test_processor_time_is_user_and_system_time_whatever_the_process_is_called() -> None:
    assert read_processor_seconds(STAT.format(user=3 * TICKS, system=4 * TICKS)) == 7


def test_a_family_is_a_process_and_all_that_descend_from_it() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = family(child.pid)
        assert len(found) == 2
        assert found[0] == child.pid
        assert child.pid in family(os.getpid())
        assert processor_seconds(child.pid).keys() == set(found)
        child.communicate("\n")


def test_nobody_is_counted_for_the_direct_call() -> None:
    assert used_seconds(processor_seconds(0), processor_seconds(0)) == (0, 0)


def test_what_was_used_is_the_familys_and_the_first_ones() -> None:
    assert used_seconds({5: 1.0, 6: 2.0}, {5: 1.5, 6: 4.0, 7: 0.25}) == (2.75, 0.5)


def test_a_process_that_ended_makes_the_figure_worthless() -> None:
    with pytest.raises(MeasurementError, match="6"):
        used_seconds({5: 1.0, 6: 2.0}, {5: 1.5})


def test_memory_is_read_in_bytes() -> None:
    assert read_memory(ROLLUP) == Memory(46000 * 1024, 31000 * 1024, 17000 * 1024)
    assert memory(os.getpid()).resident > 1 << 20


def test_files_that_two_share_count_once() -> None:
    relay, engine = Memory(45, 30, 17), Memory(100, 80, 30)
    assert together([relay, engine]) == Memory(128, 110, 30)
    assert together([relay]) == relay


def _ledger(**counts: int) -> ledger.Ledger:
    exchanges = {"seen": 10, "unwanted": 1, "taken": 6, "open": 0, "lost": {"queue_full": 2, "too_large": 1}}
    total = {"matched": 6, "filtered": 2, "delivered": 3, "dead": 0, "dropped": 0, "pending": 1}
    return {
        "exchanges": {name: counts.get(name, value) for name, value in exchanges.items()},
        "total": {name: counts.get(name, value) for name, value in total.items()},
    }


def test_a_ledger_is_quiet_when_nothing_is_open_and_nothing_pending() -> None:
    assert ledger.has_ended(_ledger())
    assert not ledger.has_ended(_ledger(seen=11, open=1))
    assert not ledger.is_quiet(_ledger())
    assert ledger.is_quiet(_ledger(pending=0, delivered=4))


@pytest.mark.parametrize(
    ("sent", "counts", "untold"),
    [
        (10, {}, 0),
        (12, {}, 2),
        (10, {"open": 1, "taken": 5, "matched": 6}, 0),
        (10, {"delivered": 2}, 1),
        (10, {"taken": 5}, 1),
    ],
)
def test_what_is_unaccounted_for_is_counted(sent: int, counts: dict[str, int], untold: int) -> None:
    assert ledger.unaccounted(sent, _ledger(**counts)) == untold


def test_a_receipt_without_its_jobs_is_unaccounted_for() -> None:
    found = _ledger(matched=5, filtered=1)
    assert ledger.unaccounted(10, found) == 1


def test_wrk_says_its_result_in_a_line_of_its_own() -> None:
    said = 'Running 3s test\nRESULT {"requests": 30, "seconds": 3.5, "errors": 2}\n'
    assert read_wrk(said) == Closed(30, 2, 3.5)
    with pytest.raises(MeasurementError):
        read_wrk("unable to connect")


def test_h2load_says_what_it_finished() -> None:
    said = (
        "finished in 213.40ms, 140.58 req/s, 31.99KB/s\n"
        "requests: 30 total, 30 started, 30 done, 28 succeeded, 2 failed, 0 errored, 0 timeout\n"
    )
    assert read_h2load(said)._replace(seconds=0) == Closed(30, 2, 0)
    assert read_h2load(said).seconds == pytest.approx(0.2134)
    with pytest.raises(MeasurementError):
        read_h2load("could not connect")


@pytest.mark.parametrize(
    ("name", "said", "version"),
    [
        ("nginx", "nginx version: nginx/1.22.1\n", "nginx 1.22.1"),
        ("wrk", "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer", "wrk 4.1.0"),
        ("envoy", "envoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL", "envoy 1.40.0"),
        ("h2load", "no idea", "h2load"),
    ],
)
def test_a_programs_version_is_found_in_what_it_says(name: str, said: str, version: str) -> None:
    assert read_version(name, said) == version
