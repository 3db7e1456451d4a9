"""Changes of a policies folder on a real disk: however they come about, each is told, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from sidecar.policy.folder_watch import FolderWatch

LIMIT_SECONDS = 20.0


class Told:
    """Waits for what a watch tells. A test that waits in vain fails."""

    def __init__(self, changes: AsyncGenerator[None, None]) -> None:
        self._changes = changes
        self._next: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        if self._next is None:
            self._next = asyncio.create_task(_told(self._changes))
        return self._next

    async def once(self) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await self.begin()
        self._next = None


async def _told(changes: AsyncGenerator[None, None]) -> None:
    await anext(changes)


@contextlib.asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Told]:
    told = Told(FolderWatch(folder, gone_seconds=0.05).changes())
    try:
        yield told
    finally:
        waiting = told.begin()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "a.yaml").write_text("one")
    return folder


async def test_what_is_written_renamed_added_and_deleted_is_told(folder: Path) -> None:
    async with watching(folder) as told:
        told.begin()
        (folder / "a.yaml").write_text("other")
        await told.once()
        told.begin()
        (folder / "new").write_text("an editor's own")
        (folder / "new").rename(folder / "a.yaml")
        await told.once()
        told.begin()
        (folder / "a.yaml").unlink()
        await told.once()


async def test_what_is_no_policy_file_is_not_told(folder: Path) -> None:
    async with watching(folder) as told:
        waiting = told.begin()
        for name in ("notes.txt", ".hidden.yaml", "../policies.yaml"):
            (folder / name).write_text("x")
        (folder / "b.yaml").write_text("x")
        await told.once()
        assert waiting.done()
        assert told.begin() is not waiting
        assert not told.begin().done()


async def test_a_config_maps_swap_of_symlinks_is_told(tmp_path: Path) -> None:
    """As a kubelet does it: files are links through `..data`, which is renamed over as a whole."""
    folder = tmp_path / "mounted"
    (folder / "..2026_1").mkdir(parents=True)
    (folder / "..2026_1" / "a.yaml").write_text("one")
    (folder / "..data").symlink_to("..2026_1")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    async with watching(folder) as told:
        told.begin()
        (folder / "..2026_2").mkdir()
        (folder / "..2026_2" / "a.yaml").write_text("two")
        (folder / "..data_tmp").symlink_to("..2026_2")
        (folder / "..data_tmp").rename(folder / "..data")
        shutil.rmtree(folder / "..2026_1")
        await told.once()
        assert (folder / "a.yaml").read_text() == "two"


async def test_a_folder_that_is_replaced_is_watched_on(folder: Path) -> None:
    async with watching(folder) as told:
        told.begin()
        moved = await asyncio.to_thread(folder.rename, folder.with_name("old"))
        await told.once()
        told.begin()
        await asyncio.to_thread(shutil.copytree, moved, folder)
        await told.once()
        told.begin()
        (folder / "a.yaml").write_text("newer")
        await told.once()


async def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    async with watching(folder) as told:
        told.begin()
        folder.mkdir()
        (folder / "a.yaml").write_text("x")
        await told.once()


async def test_what_could_not_be_taken_over_is_told_again(folder: Path) -> None:
    watch = FolderWatch(folder)
    watch.again()
    changes = watch.changes()
    async with asyncio.timeout(LIMIT_SECONDS):
        await anext(changes)
