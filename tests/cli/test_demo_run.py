from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.demo import run_demo

COMMAND = (sys.executable, "-m", "sidecar", "demo")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A temporary folder of its own, and settings of another sidecar that the demo must not take up."""
    other = {"SIDECAR_ADMIN_TOKEN": "of-another", "SIDECAR_DATA": "/nowhere", "SIDECAR_NO_SUCH_SETTING": "1"}
    return os.environ | {"TMPDIR": str(tmp_path)} | other


def _left_behind(folder: Path) -> list[str]:
    """Processes that have to do with `folder`, and what lies in it."""
    found = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line and int(process.name) != os.getpid():
            found.append(process.name)
    return found


def test_once_accounts_for_everything_keeps_some_and_leaves_nothing(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run([*COMMAND, "--once"], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the sum holds") == 2
    assert _count("seen", done.stdout) == 1500
    assert _count("unwanted", done.stdout) == 700
    assert _count("matched", done.stdout) == 800
    assert 24 <= _count(r"\+ delivered", done.stdout) <= 100
    assert "\x1b[" not in done.stdout, "colour is for terminals"
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert _left_behind(tmp_path) == []


def _count(name: str, text: str) -> int:
    found = re.search(rf"{name}\s+([\d,]+)", text)
    assert found is not None, text
    return int(found[1].replace(",", ""))


@pytest.fixture
def serving(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*COMMAND], stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        process.kill()


def test_it_serves_the_kept_digits_until_ctrl_c_and_leaves_nothing(
    tmp_path: Path, serving: subprocess.Popen[str]
) -> None:
    assert serving.stdout is not None
    lines = iter(serving.stdout.readline, "")
    said = next(line for line in lines if "Look at the kept digits" in line)
    assert re.search(r"http://127\.0\.0\.1:\d+/", said)
    assert any("Ctrl-C" in line for line in lines)
    assert any(tmp_path.glob("sidecar-demo-*/policies/*.yaml"))
    serving.send_signal(signal.SIGINT)
    assert serving.wait(60) == 0
    assert _left_behind(tmp_path) == []


def test_stopped_early_it_still_leaves_nothing(tmp_path: Path, serving: subprocess.Popen[str]) -> None:
    assert serving.stdout is not None
    next(line for line in serving.stdout if "policies" in line)
    serving.send_signal(signal.SIGTERM)
    serving.stdout.read()
    assert serving.wait(60) == 130
    assert _left_behind(tmp_path) == []


def test_without_scikit_learn_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "sklearn" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert run_demo(once=True) == 2
    said = capsys.readouterr().out.strip()
    assert "pip install 'collector-sidecar[demo]'" in said
    assert "\n" not in said
