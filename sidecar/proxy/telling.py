"""Which models pass, on its way to the engine: each name is told once, and all of them to an engine that has just come.

Promises that a name that was told costs one look-up, and that what is new is told after the traffic of this turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.passing import ModelName, PassingModels, encode_models


class Telling:
    """Calls `tell` with names, as `passing` writes them; what is told while no engine listens may be lost."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._models = PassingModels()
        self._untold: list[ModelName] = []

    def passes(self, name: ModelName) -> None:
        """A call of this model is on its way."""
        if not self._models.add(name):
            return
        if not self._untold:
            asyncio.get_running_loop().call_soon(self._tell_new)
        self._untold.append(name)

    def tell_all(self) -> None:
        """Say every name again: to one that knows none."""
        self._untold = list(self._models)
        self._tell_new()

    def _tell_new(self) -> None:
        names, self._untold = self._untold, []
        if names:
            self._tell(encode_models(names))
