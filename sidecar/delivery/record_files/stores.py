"""What a place for files is, what its faults are, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from sidecar.delivery.outcome import Outcome, Rejected, Retry
from sidecar.delivery.record_files.options import OBJECT_STORES, RecordFilesOptions
from sidecar.errors import SidecarError


class StoreError(SidecarError):
    """A file could not be written, read, listed or deleted; `outcome` says what that means for what is delivered."""

    def __init__(self, outcome: Retry | Rejected) -> None:
        self.outcome: Outcome = outcome
        super().__init__(f"{outcome.reason}: {outcome.detail}")


class Found(NamedTuple):
    """A file that is there; `modified_at` is by the store's own clock, in seconds since the epoch."""

    path: str
    size_bytes: int
    modified_at: float


class Store(Protocol):
    """Files by path, with `/` between its parts. All raise StoreError."""

    async def put(self, path: str, content: bytes) -> None:
        """Write a file: others see it whole or not at all, and once this returns it is there to stay."""

    async def get(self, path: str) -> bytes | None:
        """A file's content; None when it is not there."""

    async def listed(self, folder: str) -> list[Found]:
        """The files below `folder`, which ends in `/` or is blank for all; none when it is not there."""

    async def delete(self, paths: Sequence[str]) -> None:
        """Delete files, one after the other; one that is not there is as good as deleted."""

    async def close(self) -> None:
        """Let go of what was opened; safe twice."""


def open_store(options: RecordFilesOptions) -> Store:
    """The store at `options.url`; nothing is asked of it yet."""
    parts = urlsplit(options.url)
    if parts.scheme in OBJECT_STORES:
        from sidecar.delivery.record_files.object_store import ObjectStore  # with its library, an extra

        return ObjectStore(options)
    from sidecar.delivery.record_files.local_folder import LocalFolder

    return LocalFolder(unquote(parts.path) if parts.scheme else options.url, options.timeout_seconds)
