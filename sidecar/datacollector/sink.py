"""What every destination of rows is, for the thread that writes to it.

Promises that a sink imports nothing any more once it is there: a fork that meets the thread in the middle of an import
leaves half a module behind in the child, for our code and for everybody's.
"""

from __future__ import annotations

from sidecar.datacollector.record import Record


class RefusedError(Exception):
    """The other end does not want these rows, however often they are sent."""


class Sink:
    """One destination; used by one thread. Its text names it."""

    def write(self, records: list[Record], dropped: int) -> None:
        """Write all of `records`; `dropped` is how many others were lost before, for whoever counts them.

        Raises OSError when what is left in `records` may be tried again, else RefusedError.
        """
        raise NotImplementedError

    def forget(self) -> None:
        """Let go of what belongs to the parent of a forked process."""
