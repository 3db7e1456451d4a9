"""A stream that is not read takes what fits, counts the rest, and never waits."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sidecar.kit.streams import UnblockedStream, unblocked_streams

PIPE_BYTES = 1 << 16


def test_what_is_written_arrives_in_order() -> None:
    reading, writing = os.pipe()
    stream = UnblockedStream(writing)
    print("first", file=stream)
    print("second é \udcff", file=stream)
    stream.end()
    assert os.read(reading, 100).decode() == "first\nsecond é \\udcff\n"
    assert not stream.isatty()
    os.close(reading)
    os.close(writing)


def test_a_full_pipe_costs_lines_and_says_how_many() -> None:
    reading, writing = os.pipe()
    stream = UnblockedStream(writing, limit_bytes=4 * PIPE_BYTES)
    for _ in range(8):
        stream.write("x" * (PIPE_BYTES - 1) + "\n")
    said = b""
    while b"log lines dropped" not in said:
        said += os.read(reading, PIPE_BYTES)
    stream.end()
    whole = said.count(b"x" * (PIPE_BYTES - 1) + b"\n")
    assert whole + int(said.rpartition(b'"lines": ')[2].rstrip(b"}\n")) == 8
    assert 0 < whole < 8
    os.close(reading)
    os.close(writing)


def test_a_reader_that_is_gone_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = UnblockedStream(writing)
    print("to nobody", file=stream)
    stream.end()
    os.close(writing)


def test_prints_and_errors_go_through_it(tmp_path: Path) -> None:
    saved = os.dup(1)
    with (tmp_path / "out").open("w") as file:
        os.dup2(file.fileno(), 1)
        try:
            with unblocked_streams():
                assert isinstance(sys.stdout, UnblockedStream)
                assert isinstance(sys.stderr, UnblockedStream)
                print("said")
        finally:
            os.dup2(saved, 1)
            os.close(saved)
    assert (tmp_path / "out").read_text() == "said\n"
