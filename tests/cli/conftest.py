"""Commands that ask a running sidecar, run as at a terminal."""

from __future__ import annotations

import asyncio

import pytest
from support.admin import Admin
from support.terminal import Run

from sidecar.cli import main


@pytest.fixture
def run(admin: Admin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """On the module's own `admin`."""
    monkeypatch.setenv("COLUMNS", "200")

    async def run_main(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [*arguments, "--admin", admin.url.removeprefix("http://")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_main
