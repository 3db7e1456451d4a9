"""Which record files have had their time: pure."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.delivery.record_files.stores import Found


def outdated(
    files: Iterable[Found], now: float, keep_for: float | None = None, keep_size: int | None = None
) -> list[str]:
    """Paths of those of `files` to delete, oldest first: older than `keep_for` seconds, or beyond `keep_size` bytes
    when the newest are counted first. `now` is in seconds since the epoch."""
    paths = []
    kept_bytes = 0
    for file in sorted(files, key=lambda file: (file.modified_at, file.path), reverse=True):
        kept_bytes += file.size_bytes
        is_old = keep_for is not None and now - file.modified_at > keep_for
        if is_old or (keep_size is not None and kept_bytes > keep_size):
            paths.append(file.path)
    return paths[::-1]
