"""Counts in shared memory: the sum holds at every moment, also for a relay that is killed between two steps."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy import shared_counts
from sidecar.proxy.counts import LOST, Counts
from sidecar.proxy.shared_counts import RELAY_DIED, SharedCounts, opened

COUNTS_UNTIL_KILLED = """
import sys
from sidecar.proxy.shared_counts import SharedCounts, opened
with opened(int(sys.argv[1])) as cells:
    counts = SharedCounts(cells)
    while True:
        for kind in ("unwanted", "taken", "lost"):
            counts.seen += 1
            if kind == "lost":
                counts.lose("too_large")
            else:
                setattr(counts, kind, getattr(counts, kind) + 1)
"""


@contextlib.contextmanager
def page() -> Iterator[int]:
    descriptor = shared_counts.new_page()
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_sum(counted: dict[str, int]) -> None:
    lost = sum(count for name, count in counted.items() if name.startswith("lost."))
    assert counted["seen"] == counted["unwanted"] + counted["taken"] + lost + counted["open"], counted
    assert min(counted.values()) >= 0


def _step(counts: Counts, step: str) -> None:
    if step == "seen":
        counts.seen += 1
        counts.outstanding += 1
    elif counts.outstanding:
        counts.outstanding -= 1
        if step.startswith("lost."):
            counts.lose(step.removeprefix("lost."))
        else:
            setattr(counts, step, getattr(counts, step) + 1)


STEPS = st.sampled_from(["seen", "seen", "unwanted", "taken", *(f"lost.{reason}" for reason in LOST)])


@given(st.lists(STEPS, max_size=60))
def test_what_one_counts_the_other_reads_at_once(steps: list[str]) -> None:
    alone = Counts()
    with page() as descriptor, opened(descriptor) as its_cells, opened(descriptor) as our_cells:
        shared = SharedCounts(its_cells)
        for step in steps:
            _step(alone, step)
            _step(shared, step)
            counted = shared_counts.read(our_cells)
            _check_sum(counted)
            assert {name: counted[name] for name in alone.as_dict()} == alone.as_dict() == shared.as_dict()


def test_what_was_open_in_a_relay_that_is_gone_is_lost_and_the_next_one_begins_at_nothing() -> None:
    with page() as descriptor, opened(descriptor) as cells:
        counts = SharedCounts(cells)
        counts.seen += 3
        counts.taken += 1
        gone = shared_counts.take(cells)
        assert {name: count for name, count in gone.items() if count} == {"seen": 3, "taken": 1, RELAY_DIED: 2}
        _check_sum(gone)
        assert not any(shared_counts.read(cells).values())


@contextlib.contextmanager
def counting_relay(descriptor: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", COUNTS_UNTIL_KILLED, str(descriptor)]
    with subprocess.Popen(command, pass_fds=[descriptor], stdout=subprocess.PIPE) as relay:
        try:
            yield relay
        finally:
            relay.kill()


def test_the_sum_holds_while_a_relay_counts_and_when_it_was_killed_at_any_moment() -> None:
    with page() as descriptor, opened(descriptor) as cells:
        for _ in range(5):
            seen = 0
            with counting_relay(descriptor):
                while seen < 10_000:
                    counted = shared_counts.read(cells)
                    _check_sum(counted)
                    assert counted["seen"] >= seen
                    seen = counted["seen"]
            gone = shared_counts.take(cells)
            _check_sum(gone)
            assert gone[RELAY_DIED] <= 1
            assert gone["lost.too_large"] > 3000


def test_where_two_writes_are_seen_in_another_order_the_sum_still_holds() -> None:
    with page() as descriptor, opened(descriptor) as cells:
        SharedCounts(cells).unwanted += 1
        counted = shared_counts.read(cells)
        _check_sum(counted)
        assert (counted["seen"], counted["open"]) == (1, 0)


def test_a_reason_that_the_page_does_not_know_is_counted_all_the_same() -> None:
    with page() as descriptor, opened(descriptor) as cells:
        counts = SharedCounts(cells)
        counts.seen += 2
        counts.lose("of tomorrow", 2)
        _check_sum(shared_counts.read(cells))
        assert shared_counts.read(cells)["open"] == 0


def test_the_rest_is_there_once_it_is_published() -> None:
    with page() as descriptor, opened(descriptor) as cells:
        counts = SharedCounts(cells)
        counts.bytes_in += 5
        counts.connections_open += 1
        counts.uncaptured["http2"] += 1
        counts.publish()
        found = {name: count for name, count in shared_counts.read(cells).items() if count}
        assert found == {"bytes_in": 5, "connections_open": 1, "uncaptured.http2": 1}
        assert shared_counts.take(cells)["connections_open"] == 0
