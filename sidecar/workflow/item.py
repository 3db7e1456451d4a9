"""What a workflow runs on: one input that a collector matched, with the model's output for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.data import Data
from sidecar.memory import Change, give_back
from sidecar.protocol.call import Items


class Item:
    """One input for one collector. Neither the input nor the output is made before it is looked at: where sampling or a
    threshold decides, most never are."""

    __slots__ = (
        "_given",
        "_output",
        "changes",
        "collector",
        "exchange_id",
        "input_index",
        "model_failed",
        "started_at",
    )

    def __init__(
        self,
        exchange_id: bytes,
        input_index: int,
        collector: str,
        given: Data | Sequence[Data],
        output: Data | Sequence[Data | None] | None,
        started_at: float = 0.0,
        *,
        model_failed: bool = False,
    ) -> None:
        """`collector` is its key, as in the ledger. `given` and `output` are the item's own, or those of all inputs of
        the call, of which the ones at `input_index` are meant. `started_at` is the exchange's: by it nodes decide.
        `model_failed` if the model refused the call, or left it without an answer."""
        self.exchange_id = exchange_id
        self.input_index = input_index
        self.collector = collector
        self._given = given
        self._output = output
        self.started_at = started_at
        self.model_failed = model_failed
        self.changes: tuple[Change, ...] = ()
        """What its nodes have put into memory: to be written with its verdict, or given back."""

    def remember(self, changes: Iterable[Change]) -> None:
        self.changes += tuple(changes)

    def give_back(self) -> None:
        """Undo what its nodes have put into memory, the last first: it ends without a verdict that counts."""
        changes, self.changes = self.changes, ()
        give_back(changes)

    def let_go(self) -> None:
        """Undo what holds its job: there will be none."""
        held = [change for change in self.changes if change.holds]
        if held:
            self.changes = tuple([change for change in self.changes if not change.holds])
            give_back(held)

    @property
    def input(self) -> Data:
        given = self._given
        return given if isinstance(given, Data) else given[self.input_index]

    @property
    def output(self) -> Data | None:
        """None when the model gave none that can be read."""
        output = self._output
        return output if output is None or isinstance(output, Data) else output[self.input_index]

    @property
    def has_output(self) -> bool:
        """True if `output` is not None, which is told without making it."""
        return isinstance(self._output, Items) or self.output is not None
