"""`sidecar keys` on a real admin server: a token is printed once, alone on standard output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from support.admin import Admin, open_admin
from support.terminal import Run

from sidecar.cli import main

TOKEN = "correct-token"


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with open_admin(tmp_path, TOKEN) as running:
        yield running


async def test_a_key_from_its_making_to_its_end(run: Run) -> None:
    def keys(token: str, *arguments: str) -> Awaitable[tuple[int, str, str]]:
        return run("keys", *arguments, "--admin-token", token)

    code, out, err = await keys(TOKEN, "create", "--name", "ci", "--scopes", "read, write")
    assert code == 0
    first = out.removesuffix("\n")
    key = first.split("_")[1]
    assert err == f"key {key} of ci: read, write. Its token is shown this once.\n"
    code, shown, _ = await keys(first, "list")
    assert code == 0
    assert key in shown
    assert "read,write" in shown
    assert first not in shown
    code, out, _ = await keys(first, "rotate", key)
    assert code == 0
    second = out.removesuffix("\n")
    assert (await keys(first, "list"))[0] == 1
    assert (await keys(second, "revoke", key))[0] == 0
    code, _, err = await keys(second, "list")
    assert code == 1
    assert "wants its token" in err


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


async def test_a_scope_that_there_is_not_is_refused(run: Run) -> None:
    code, _, said = await run("keys", "create", "--name", "ci", "--scopes", "all", "--admin-token", TOKEN)
    assert code == 1
    assert "scopes: must be a list of at least one of read, write, inputs" in said
