"""A running admin server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.admin import Admin, open_admin


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """Without a token, as it is by default."""
    async with open_admin(tmp_path) as running:
        yield running


@pytest.fixture
async def locked_admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """With the token `correct-token`."""
    async with open_admin(tmp_path, "correct-token") as running:
        yield running
