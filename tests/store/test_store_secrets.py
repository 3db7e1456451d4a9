"""Secrets: nothing in clear, one row each, and a key that only its owner can read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from sidecar.errors import ConfigurationError, PermanentError, TransientError
from sidecar.kit.ids import ID
from sidecar.store.database import Database, sqlite_url
from sidecar.store.secrets import KEY_FILE, REFERENCE, Secrets, load_key

PLAINTEXT = "YOUR_API_KEY_HERE-\u00fc"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_secret_comes_back_by_its_reference_after_a_restart(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        reference = await Secrets(database, load_key(tmp_path)).add(PLAINTEXT)
    async with Database(sqlite_url(tmp_path)) as database:
        secrets = Secrets(database, load_key(tmp_path))
        assert await secrets.reveal(reference) == PLAINTEXT
        assert await secrets.is_known(reference)
        assert await secrets.reveal("key-none") is None
        assert not await secrets.is_known(PLAINTEXT)


async def test_nothing_is_in_clear(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        secrets = Secrets(database, load_key(tmp_path))
        reference = await secrets.add(PLAINTEXT)
        everything = everything_in(tmp_path)
        assert reference.encode() in everything
        assert PLAINTEXT.encode() not in everything
        assert PLAINTEXT not in repr(secrets) + repr(vars(secrets))
        assert ID.fullmatch(reference)
        assert REFERENCE.fullmatch(reference)
        assert len(reference) <= 48


async def test_the_same_secret_keeps_its_reference(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        secrets = Secrets(database, load_key(tmp_path))
        first = await secrets.add(PLAINTEXT)
        assert await secrets.add(PLAINTEXT) == first
        assert await secrets.add(PLAINTEXT + "x") != first
        assert await Secrets(database, Fernet.generate_key()).add(PLAINTEXT) != first
        count = await database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM secret").scalar_one())
    assert count == 3


async def test_another_key_cannot_read_and_says_what_to_do(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        reference = await Secrets(database, Fernet.generate_key()).add(PLAINTEXT)
        with pytest.raises(PermanentError, match="give it again"):
            await Secrets(database, Fernet.generate_key()).reveal(reference)


async def test_a_failing_database_is_transient(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        secrets = Secrets(database, load_key(tmp_path))
        await database.write(lambda c: c.exec_driver_sql("DROP TABLE secret"))
        for call in (secrets.add, secrets.reveal, secrets.is_known):
            with pytest.raises(TransientError) as caught:
                await call(PLAINTEXT)
            assert PLAINTEXT not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__cause__}"


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = load_key(tmp_path)
    assert load_key(tmp_path) == key
    assert mode_of(tmp_path / KEY_FILE) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    key = load_key(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o664)
    assert load_key(tmp_path) == key
    assert mode_of(tmp_path / KEY_FILE) == 0o600


def test_a_key_that_cannot_be_closed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_key(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError("not the owner")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigurationError, match=r"mode 640.*chmod 600"):
        load_key(tmp_path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("not a key")
    with pytest.raises(ConfigurationError, match="is no key"):
        load_key(tmp_path)
