"""The listening socket that outlives engines."""

from __future__ import annotations

import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.proxy.engine_socket import (
    LONGEST_PATH_BYTES,
    NO_HANDLE,
    engine_socket_path,
    held_engine_socket,
    listen_for_engine,
    way_to_engine,
)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder in place of the system's temporary one: a socket's path must be short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    return True


def test_only_this_user_may_connect_and_a_stale_socket_is_replaced(temporary: Path) -> None:
    data = temporary / "data"
    listen_for_engine(data).close()
    with listen_for_engine(data):
        path = engine_socket_path(data)
        assert path == data / "engine.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert _connects(path)


def test_a_path_too_long_for_a_socket_moves_to_a_private_folder(temporary: Path) -> None:
    data = temporary / ("d" * LONGEST_PATH_BYTES)
    with listen_for_engine(data):
        path = engine_socket_path(data)
        assert path.parent.parent == temporary
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert _connects(path)


def test_a_folder_that_others_may_enter_is_not_used(temporary: Path) -> None:
    data = temporary / ("d" * LONGEST_PATH_BYTES)
    folder = engine_socket_path(data).parent
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ConfigurationError, match="only this user"):
        listen_for_engine(data)


def test_a_file_in_the_way_is_not_removed(temporary: Path) -> None:
    (temporary / "engine.sock").write_text("precious")
    with pytest.raises(ConfigurationError, match="in the way"):
        listen_for_engine(temporary)
    assert (temporary / "engine.sock").read_text() == "precious"


def test_it_is_reached_when_its_folder_was_deleted_and_even_made_anew(temporary: Path) -> None:
    data = temporary / "data"
    with held_engine_socket(data) as (listening, handle):
        way = way_to_engine(data, handle)
        shutil.rmtree(data)
        assert _connects(way)
        with listen_for_engine(data):
            assert _connects(way)
        listening.accept()[0].close()
        listening.accept()[0].close()
    assert not way.exists()


def test_nothing_is_left_of_it(temporary: Path) -> None:
    data = temporary / "data"
    with held_engine_socket(data):
        assert engine_socket_path(data).is_socket()
    assert list(data.iterdir()) == []


def test_without_a_handle_the_way_is_the_path(temporary: Path) -> None:
    assert way_to_engine(temporary, NO_HANDLE) == engine_socket_path(temporary)
