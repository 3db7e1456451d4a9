"""What is held as JSON takes the memory of what it says."""

from __future__ import annotations

import tracemalloc

import orjson

from sidecar.kit.json import dumps

VALUE = {"instances": [[0.25] * 100]}


def test_what_is_held_takes_no_more_memory_than_it_is_long() -> None:
    length = len(dumps(VALUE))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        held = [dumps(VALUE) for _ in range(100)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(held) < length + 100


def test_what_is_written_is_orjsons() -> None:
    assert dumps(VALUE) == orjson.dumps(VALUE)
    assert dumps(VALUE, option=orjson.OPT_APPEND_NEWLINE) == orjson.dumps(VALUE) + b"\n"
