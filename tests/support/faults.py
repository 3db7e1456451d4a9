"""Faults of a real database, made and mended by a test."""

from __future__ import annotations

from sidecar.store.database import Database


async def rename(database: Database, old: str, new: str) -> None:
    """Give table `old` another name: whatever needs it fails until it has its name back."""
    await database.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}"))
