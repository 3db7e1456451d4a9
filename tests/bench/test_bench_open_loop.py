"""The load generator on real sockets: a call waits from the moment it was due, and none is forgotten."""

from __future__ import annotations

import sys
from pathlib import Path

import calls
import open_loop
import pytest
from open_loop import Job, answer_bytes, arrivals
from servers import announcing, answering, script

CLOSING = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print("ready listen=127.0.0.1:%d" % listening.getsockname()[1], flush=True)
while True:
    taken, _ = listening.accept()
    taken.recv(65536)
    taken.close()
"""


def job(address: str, **given: float) -> Job:
    request = calls.predict_call(address).decode("latin-1")
    return Job(
        address, request, rate=given.get("rate", 200.0), seconds=0.25, connections=int(given.get("connections", 4))
    )


def test_every_call_is_sent_and_answered(tmp_path: Path) -> None:
    with answering(tmp_path / "model", calls.PREDICTIONS) as model:
        result = open_loop.run(job(model.address))
    assert result.sent == 4 + len(arrivals(200, 0.25, 0))
    assert result.failed == 0
    assert 0 < result.p50_us <= result.p99_us <= result.worst_us


def test_a_relay_passes_them_all(tmp_path: Path) -> None:
    with (
        answering(tmp_path / "model", calls.PREDICTIONS) as model,
        announcing(script("blind_relay.py", model.address), tmp_path / "log") as relay,
    ):
        result = open_loop.run(job(relay.address))
    assert result.failed == 0


def test_a_call_that_waits_for_a_connection_has_waited(tmp_path: Path) -> None:
    """One connection, held for 0.1 s by each of some 12 calls that are due within 0.25 s: the last waits for all."""
    with answering(tmp_path / "model", calls.PREDICTIONS, "0.1") as slow:
        result = open_loop.run(job(slow.address, rate=50.0, connections=1))
    others = result.sent - 1
    assert others > 3
    assert result.worst_us >= (others * 0.1 - 0.25) * 1e6


def test_a_connection_that_is_closed_has_failed_its_call_and_is_opened_again(tmp_path: Path) -> None:
    with announcing([sys.executable, "-c", CLOSING], tmp_path / "log") as server:
        result = open_loop.run(job(server.address, connections=2))
    assert result.sent == 2 + len(arrivals(200, 0.25, 0))
    assert result.failed == result.sent


def test_an_answer_is_whole_with_its_content_length() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\n"
    assert answer_bytes(head[:-1]) is None
    assert answer_bytes(head + b"ab") == len(head) + 5
    with pytest.raises(ValueError, match="without Content-Length"):
        answer_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_arrivals_are_the_same_for_everybody_in_a_round_and_others_in_the_next() -> None:
    assert arrivals(1000, 1, 7) == arrivals(1000, 1, 7) != arrivals(1000, 1, 8)
    moments = arrivals(1000, 10, 7)
    assert moments == sorted(moments)
    assert 9_500 < len(moments) < 10_500
