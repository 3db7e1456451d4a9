"""The faults of the originals, each shown absent: in scoring code as it runs, a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from aiohttp.test_utils import unused_port
from support.rows_end import ROOT, rows_end, run_command, run_scoring

from sidecar.kit.addresses import Address

BEGIN = """
import os, signal, sys, threading, time
from sidecar.datacollector import ModelDataCollector, flush
from sidecar.datacollector.outlets import dropped
dc = ModelDataCollector("digits", "inputs", ["a", "b"])
"""


async def test_a_frame_is_recorded_as_it_was_and_is_not_changed(tmp_path: Path) -> None:
    script = """
import pandas as pd
frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
dc.collect(frame)
assert list(frame.columns) == ["a", "b"] and frame.shape == (2, 2)
frame.loc[:, "a"] = 9
frame["extra"] = 1
row = [1, 2]
dc.collect(row)
row[0] = 9
"""
    async with rows_end() as end:
        assert await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=end.address) == (0, "", "")
        assert await end.rows(2) == [[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], [{"a": 1, "b": 2}]]


async def test_nothing_is_raised_and_each_reason_is_said_once(tmp_path: Path) -> None:
    script = """
class Hostile(list):
    def __iter__(self):
        raise SystemError("no")
for data in ({"a": 1}, "text", None, [[1], [2, 3]], [[[1]]], Hostile([1]), Hostile([1])):
    assert dc.collect(data) is None
assert ModelDataCollector("digits", designation="inputs").collect(object()) is None
assert dc.add_correlations(Hostile([1]), {"$CorrelationId": "c"}) is not None
assert ModelDataCollector(7, 8, feature_names=9 and None, model_version=1).collect([1]) is None
"""
    async with rows_end() as end:
        code, out, errors = await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=end.address)
        ((captured, _),) = await end.calls(1)
    assert (code, out) == (0, "")
    assert errors.count("not collected: ") == 2, errors
    assert "hand over a list, a numpy array, or a pandas or Spark DataFrame" in errors
    assert captured.arrival.asked.route.model == "7"


async def test_an_address_that_is_none_stops_no_model_from_being_loaded(tmp_path: Path) -> None:
    code, _, errors = await run_scoring(BEGIN + "dc.collect([1, 2])", folder=tmp_path, SIDECAR_MDC="nonsense")
    assert code == 0
    assert "'nonsense' is not host:port, unix:/path or file:/folder" in errors


async def test_signal_handlers_stay_and_exit_writes_what_is_left(tmp_path: Path) -> None:
    script = """
kept = {number: signal.getsignal(number) for number in signal.valid_signals()}
own = lambda *_: sys.exit(3)
signal.signal(signal.SIGTERM, own)
dc.collect([1, 2])
again = ModelDataCollector("digits")
assert signal.getsignal(signal.SIGTERM) is own
assert {number: signal.getsignal(number) for number in kept if number != signal.SIGTERM} == {
    number: handler for number, handler in kept.items() if number != signal.SIGTERM}
for number in range(500):
    dc.collect([number, "last"])
os.kill(os.getpid(), signal.SIGTERM)
"""
    async with rows_end() as end:
        assert await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=end.address) == (3, "", "")
        assert len(await end.calls(501)) == 501


async def test_the_end_is_not_held_up_by_a_sidecar_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        script = """
from sidecar.datacollector import outlets
outlets.EXIT_SECONDS = 0.2
flush.__defaults__ = (0.2,)
for number in range(7):
    dc.collect([number, 2])
"""
        code, _, errors = await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=address)
    assert code == 0
    assert "7 records were not written before the end of the process" in errors


async def test_it_works_in_threads(tmp_path: Path) -> None:
    script = """
def work(name):
    own = ModelDataCollector("digits", "inputs", ["a", "b"])
    for number in range(50):
        own.collect([name, number])
threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert flush(30)
assert [thread.name for thread in threading.enumerate()].count("sidecar-datacollector") == 1
"""
    async with rows_end() as end:
        assert await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=end.address) == (0, "", "")
        rows = [(row["a"], row["b"]) for (row,) in await end.rows(400)]
    assert sorted(rows) == [(name, number) for name in range(8) for number in range(50)]


FORKS = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
dc.collect(["parent", "before"])
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        for _ in range(10):
            dc.collect(["child", number])
        sys.exit(0)
    children.append(pid)
dc.collect(["parent", "after"])
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
"""


async def test_each_side_of_a_fork_sends_its_own_rows_once(tmp_path: Path) -> None:
    async with rows_end() as end:
        assert await run_scoring(BEGIN + FORKS, folder=tmp_path, SIDECAR_MDC=end.address) == (0, "", "")
        rows = [(row["a"], row["b"]) for (row,) in await end.rows(32)]
        counts = end.ingest.counts
    own: list[tuple[str, object]] = [("parent", "after"), ("parent", "before")]
    assert sorted(rows, key=str) == sorted(own + [("child", number) for number in range(3) for _ in range(10)], key=str)
    assert counts["seen"] == 32


async def test_a_child_of_multiprocessing_sends_its_last_rows(tmp_path: Path) -> None:
    script = """
import multiprocessing
def work():
    dc.collect(["child", 1])
if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
"""
    async with rows_end() as end:
        assert await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=end.address) == (0, "", "")
        assert await end.rows(1) == [[{"a": "child", "b": 1}]]


WSGI = """
import os
from sidecar.datacollector import ModelDataCollector
dc = ModelDataCollector("digits", "inputs", ["place", "pid"])
dc.collect(["preload", os.getpid()])
def app(environ, start_response):
    dc.collect(["worker", os.getpid()])
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


async def test_gunicorn_with_its_application_loaded_before_it_forks(tmp_path: Path) -> None:
    (tmp_path / "wsgi.py").write_text(WSGI)
    sock = tmp_path / "g.sock"
    async with rows_end() as end:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"unix:{sock}", "--no-control-socket",
            "wsgi:app", cwd=tmp_path, stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{tmp_path}", "SIDECAR_MDC": end.address},
        )  # fmt: skip
        assert server.stderr is not None
        seen = b""
        while seen.count(b"Booting worker") < 2:
            line = await asyncio.wait_for(server.stderr.readline(), 30)
            assert line, seen.decode()
            seen += line
        for _ in range(20):
            reader, writer = await asyncio.open_unix_connection(sock)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.")
            writer.close()
        server.terminate()
        errors = await server.stderr.read()
        assert await server.wait() == 0, errors.decode()
        rows = [(row["place"], row["pid"]) for (row,) in await end.rows(21)]
    assert rows.count(("preload", server.pid)) == 1
    workers = [pid for place, pid in rows if place == "worker"]
    assert len(workers) == 20
    assert server.pid not in workers


async def test_the_sending_thread_imports_nothing(tmp_path: Path) -> None:
    """A fork in the middle of an import would leave half a module in the child, for everybody there."""
    script = """
before = set(sys.modules)
dc.collect([1, float("nan")])
assert flush(30)
assert set(sys.modules) == before, set(sys.modules) - before
"""
    async with rows_end() as end:
        assert await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=end.address) == (0, "", "")
        assert await end.rows(1) == [[{"a": 1, "b": None}]]
    to_files = f"file:{tmp_path}"
    assert await run_scoring(BEGIN + script, folder=tmp_path, SIDECAR_MDC=to_files) == (0, "", "")
    code, _, errors = await run_scoring(
        BEGIN + script.replace("flush(30)", "not flush(0.1)"), folder=tmp_path, SIDECAR_MDC=f"127.0.0.1:{unused_port()}"
    )
    assert code == 0, errors
    assert "rows wait" in errors


async def test_no_proxy_stands_between_it_and_the_sidecar(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{unused_port()}"
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), dead)
    async with rows_end() as end:
        script = BEGIN + "dc.collect([1, 2]); assert flush(30)"
        assert await run_scoring(script, folder=tmp_path, SIDECAR_MDC=end.url, **proxies) == (0, "", "")
        assert await end.rows(1) == [[{"a": 1, "b": 2}]]


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "rows.sock"
    async with rows_end(Address(path=str(path))) as end:
        assert path.stat().st_mode & 0o777 == 0o666
        script = BEGIN + "dc.collect([1, 2]); assert flush(30)"
        assert await run_scoring(script, folder=tmp_path, SIDECAR_MDC=f"unix:{path}") == (0, "", "")
        assert await end.rows(1) == [[{"a": 1, "b": 2}]]


async def test_a_full_buffer_drops_counts_and_never_waits(tmp_path: Path) -> None:
    """The sidecar is away until the buffer has overflowed; what was kept then arrives, and what was not is told."""
    script = """
from sidecar.datacollector import outlets
outlets.LIMIT_BYTES = 0
outlet = dc._outlet
outlet._limit_bytes = 100_000
for number in range(1000):
    dc.collect([number, "x" * 1000])
print(dropped(), flush=True)
sys.stdin.readline()
assert flush(30)
assert outlet.waiting == 0
for number in range(10):
    dc.collect([number, "fits"])
assert flush(30)
"""
    port = unused_port()
    (tmp_path / "score.py").write_text(BEGIN + script)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "score.py", cwd=tmp_path,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "SIDECAR_MDC": f"127.0.0.1:{port}"},
    )  # fmt: skip
    assert child.stdout is not None
    lost = int(await asyncio.wait_for(child.stdout.readline(), 30))
    assert 900 < lost < 1000
    async with rows_end(Address("127.0.0.1", port)) as end:
        _, errors = await asyncio.wait_for(child.communicate(b"\n"), 60)
        rows = await end.rows(1000 - lost + 10)
        assert end.ingest.counts["seen"] == 1000 - lost + 10
        assert end.events.counters.get("sidecar_rows_dropped_by_sender_total") == lost
    assert child.returncode == 0, errors.decode()
    assert errors.decode().count("the buffer is full") == 1
    assert rows[0] == [{"a": 0, "b": "x" * 1000}]


async def test_rows_wait_for_a_sidecar_that_starts_again(tmp_path: Path) -> None:
    """The connection stays open between two rows; that the other end is a new one is not noticed."""
    script = """
dc.collect([1, "first"]); assert flush(30)
print("sent", flush=True)
sys.stdin.readline()
dc.collect([2, "second"]); assert flush(30)
"""
    (tmp_path / "score.py").write_text(BEGIN + script)
    async with rows_end() as first:
        port = int(first.address.rpartition(":")[2])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "score.py", cwd=tmp_path,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "SIDECAR_MDC": first.address},
        )  # fmt: skip
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), 30) == b"sent\n"
        assert await first.rows(1) == [[{"a": 1, "b": "first"}]]
    async with rows_end(Address("127.0.0.1", port)) as second:
        _, errors = await asyncio.wait_for(child.communicate(b"\n"), 60)
        assert (child.returncode, errors) == (0, b"")
        assert await second.rows(1) == [[{"a": 2, "b": "second"}]]


async def test_printed_instead_of_sent(tmp_path: Path) -> None:
    script = BEGIN + 'dc.collect([1, "é"], "c-1"); dc.collect([2, None])'
    code, out, errors = await run_scoring(
        script, folder=tmp_path, AML_MODEL_DC_DEBUG="true", SIDECAR_MDC="127.0.0.1:1", PYTHONIOENCODING="utf-8"
    )
    assert (code, errors) == (0, "")
    first, second = out.splitlines()
    assert first.endswith("Z digits inputs c-1 {'a': 1, 'b': 'é'}")
    assert second.endswith("Z digits inputs - {'a': 2, 'b': None}")


async def test_switched_off_it_says_so_once_and_does_nothing(tmp_path: Path) -> None:
    script = BEGIN + 'ModelDataCollector("other").collect([1]); dc.collect([1])\nassert threading.active_count() == 1'
    code, out, errors = await run_scoring(script, folder=tmp_path)
    assert (code, out) == (0, "")
    assert errors.count("nothing is collected: set SIDECAR_MDC") == 1
    off = {"SIDECAR_MDC": "127.0.0.1:1", "AML_MODEL_DC_STORAGE_ENABLED": "false"}
    assert (await run_scoring(script, folder=tmp_path, **off))[2].count("nothing is collected") == 1
    assert os.listdir(tmp_path) == ["score.py"]  # noqa: PTH208 - nothing else runs on this loop


IMPORTED = """
import json, sys
before = set(sys.modules)
from sidecar.datacollector import ModelDataCollector
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


async def test_nothing_else_need_be_installed(tmp_path: Path) -> None:
    """Without site-packages, and without what is slow to import: that is loaded in the thread that needs it."""
    (tmp_path / "score.py").write_text(f"import sys; sys.path.insert(0, {os.fspath(ROOT)!r})\n" + IMPORTED)
    code, out, errors = await run_command([sys.executable, "-I", "-S", "score.py"], folder=tmp_path)
    assert (code, errors) == (0, "")
    modules = json.loads(out)
    assert set(modules) - sys.stdlib_module_names == {"sidecar"}
    assert not {"http", "email", "ssl", "socket", "logging", "datetime", "json", "csv", "pathlib"} & set(modules)
