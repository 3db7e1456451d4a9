from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from sidecar.cli.demo.children import DemoError, child, read_ready

PROGRAM = """\
import signal, sys, os
signal.signal(signal.SIGTERM, lambda *_: (open("stopped", "w").close(), sys.exit(0)))
print("hello", flush=True)
print(f"ready listen=127.0.0.1:1 pid={os.getpid()}", flush=True)
signal.pause()
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def _is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_child_says_where_it_listens_and_is_stopped_on_the_way_out(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    async with child("it", ["program"], tmp_path / "log", environment) as addresses:
        pid = int(addresses.pop("pid"))
        assert addresses == {"listen": "127.0.0.1:1"}
        assert _is_running(pid)
        assert os.getsid(pid) == pid, "Ctrl-C must not reach it"
    assert not _is_running(pid)
    assert (tmp_path / "stopped").exists()


async def test_it_is_stopped_when_the_demo_is_cancelled(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def stay() -> None:
        async with child("it", ["program"], tmp_path / "log", environment) as addresses:
            started.set_result(int(addresses["pid"]))
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    pid = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _is_running(pid)


async def test_a_child_that_ends_before_it_is_ready_shows_the_end_of_its_log(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "program.py").write_text("raise SystemExit('no port left')")
    with pytest.raises(DemoError, match=r"it ended with exit code 1 before it was ready(?s:.*)no port left"):
        async with child("it", ["program"], tmp_path / "log", environment):
            pass


async def test_a_child_that_says_nothing_is_given_up(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.cli.demo.children.READY_SECONDS", 0.05)
    (tmp_path / "program.py").write_text("import signal; signal.pause()")
    with pytest.raises(DemoError, match="was not ready within"):
        async with child("it", ["program"], tmp_path / "log", environment):
            pass


async def test_a_child_that_does_not_stop_is_killed(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.cli.demo.children.STOP_SECONDS", 0.05)
    program = PROGRAM.replace("signal.pause()", "\nwhile True: signal.pause()").replace("sys.exit(0)", "None")
    (tmp_path / "program.py").write_text(program)
    async with child("it", ["program"], tmp_path / "log", environment) as addresses:
        pid = int(addresses["pid"])
    assert not _is_running(pid)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ready listen=127.0.0.1:1 admin=127.0.0.1:2\n", {"listen": "127.0.0.1:1", "admin": "127.0.0.1:2"}),
        ("ready", {}),
        ("ready soon", {}),
        ("already a=b", None),
        ("\n", None),
    ],
)
def test_a_ready_line_is_told_from_another(line: str, expected: dict[str, str] | None) -> None:
    assert read_ready(line) == expected
