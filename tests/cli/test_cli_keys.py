"""`sidecar keys` on a real admin server: a token is printed once, alone on standard output."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.admin import open_admin

from sidecar.cli import main


async def run_main(url: str, token: str, *arguments: str) -> int:
    where = ("--admin", url.removeprefix("http://"), "--admin-token", token)
    return await asyncio.to_thread(main, ["keys", *arguments, *where])


async def test_a_key_from_its_making_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_admin(tmp_path, "correct-token") as admin:
        url = admin.url
        assert await run_main(url, "correct-token", "create", "--name", "ci", "--scopes", "read, write") == 0
        made = capsys.readouterr()
        first = made.out.removesuffix("\n")
        key = first.split("_")[1]
        assert made.err == f"key {key} of ci: read, write. Its token is shown this once.\n"
        assert await run_main(url, first, "list") == 0
        shown = capsys.readouterr().out
        assert key in shown
        assert "read,write" in shown
        assert first not in shown
        assert await run_main(url, first, "rotate", key) == 0
        second = capsys.readouterr().out.removesuffix("\n")
        assert await run_main(url, first, "list") == 1
        assert await run_main(url, second, "revoke", key) == 0
        assert await run_main(url, second, "list") == 1
        assert "wants its token" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create",), "--name: is missing"),
        (("list", "--name", "ci"), "--name: is for create alone"),
        (("rotate",), "KEY: is missing"),
        (("revoke",), "KEY: is missing"),
        (("list", "0123"), "KEY: list takes none"),
    ],
)
def test_what_is_missing_or_too_much_is_said_before_anyone_is_asked(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == 2
    assert said in capsys.readouterr().err


async def test_a_scope_that_there_is_not_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_admin(tmp_path) as admin:
        assert await run_main(admin.url, "", "create", "--name", "ci", "--scopes", "all") == 1
    assert "scopes: must be a list of at least one of read, write, inputs" in capsys.readouterr().err
