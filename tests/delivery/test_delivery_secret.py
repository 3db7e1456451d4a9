"""Secrets that options name: what may be written, what is read, and that none is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from sidecar.delivery.outcome import Rejected, Retry
from sidecar.delivery.secret import Secret, for_a_header, reveal
from sidecar.kit.validation import faults_of

REFERENCE = "key-" + "0" * 24


class Options(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    token: Secret


async def secret_of(reference: str) -> str | None:
    return "stored one" if reference == REFERENCE else None


async def read(written: object) -> str | Retry | Rejected:
    return await reveal(Options.model_validate({"token": written}).token, secret_of)


async def test_a_secret_is_read_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", " from the environment ")
    (tmp_path / "token").write_text("from ä file\n")
    assert await read({"env": "THE_TOKEN"}) == "from the environment"
    assert await read({"file": str(tmp_path / "token")}) == "from ä file"
    assert await read(REFERENCE) == await read({"stored": REFERENCE}) == "stored one"


async def test_a_rotated_secret_just_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", "old")
    place = Options.model_validate({"token": {"env": "THE_TOKEN"}}).token
    assert await reveal(place, secret_of) == "old"
    monkeypatch.setenv("THE_TOKEN", "new")
    assert await reveal(place, secret_of) == "new"


async def test_what_is_not_there_may_still_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THE_TOKEN", raising=False)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert await read({"env": "THE_TOKEN"}) == Retry(
        "key_unavailable", "environment variable THE_TOKEN holds no secret: set it"
    )
    missing = tmp_path / "none"
    assert await read({"file": str(missing)}) == Retry(
        "key_unavailable", f"file {missing} cannot be read: No such file or directory"
    )
    binary = await read({"file": str(tmp_path / "binary")})
    assert isinstance(binary, Retry)
    assert "UTF-8" in binary.detail
    unknown = await read("key-" + "1" * 24)
    assert isinstance(unknown, Rejected)
    assert unknown.reason == "key_unknown"


@pytest.mark.parametrize(
    "written", ["s3cret", {}, {"env": "A", "file": "b"}, {"stored": "s3cret"}, {"text": "s3cret"}, ["s3cret"], None]
)
def test_a_secret_that_is_written_out_is_refused_and_not_repeated(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"token": written})
    faults = faults_of(caught.value, Options, "options")
    assert faults[0].field.startswith("options.token")
    assert "s3cret" not in f"{caught.value}{faults}"


def test_what_no_header_can_carry_is_said_before_it_is_sent() -> None:
    assert for_a_header("plain") == "plain"
    for secret in ("two\r\nlines", "ä"):
        refused = for_a_header(secret)
        assert isinstance(refused, Rejected)
        assert refused.reason == "key_invalid"
        assert secret not in refused.detail
    assert for_a_header(Retry("key_unavailable")) == Retry("key_unavailable")
