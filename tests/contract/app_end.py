"""The embedded app: the far side is the sidecar's own database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import sqlalchemy

from contract.end import Case, End
from sidecar.store.inputs import list_inputs

_OWN = "it is the engine's own database, in its own process"


class AppEnd(End):
    kind = "app"
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.REFUSING_ONE: "inputs are stored all or none, in one transaction",
        Case.THROTTLING: f"nothing counts its calls: {_OWN}",
        Case.REFUSING: "whatever the database refuses may pass once its disk or its file is mended",
        Case.LOCKED_OUT: f"there are no credentials: {_OWN}",
        Case.HANGING: f"a disk that hangs holds up the queue itself: {_OWN}",
        Case.TOO_SMALL: "what the queue could store, the app can: both are tables of one database",
        Case.GOING_AWAY: f"it goes away together with the queue: {_OWN}",
    }

    async def start(self) -> None:
        await self.database.open()

    async def stop(self) -> None:
        """It goes with the test's folder."""

    def options(self) -> Mapping[str, Any]:
        return {}

    async def stored(self) -> list[str]:
        return [each.id for each in await self.database.read(lambda c: list_inputs(c, "local", "main"))]

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        await self._do("ALTER TABLE input RENAME TO away")
        yield
        await self._do("ALTER TABLE away RENAME TO input")

    async def _do(self, statement: str) -> None:
        await self.database.write(lambda connection: connection.execute(sqlalchemy.text(statement)))
