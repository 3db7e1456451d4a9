"""Our ledger as the benchmark reads it: has all the work been done, what was kept, is anything unaccounted for.

"Accounted" is held against what the load generator says it sent, not against the ledger's own word alone.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from faults import MeasurementError

SETTLE_SECONDS = 120.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5

Ledger = Mapping[str, Any]
ENDS = ("filtered", "delivered", "dead", "dropped", "pending")


def read(admin: str) -> Ledger:
    """`/v1/ledger` of the sidecar whose admin API is there."""
    with urllib.request.urlopen(f"http://{admin}/v1/ledger", timeout=30) as response:
        found: Ledger = json.load(response)
    return found


def settled(admin: str, is_done: Callable[[Ledger], bool]) -> Ledger:
    """The ledger once `is_done` says so, asked ever more seldom, as the answers cost what is measured.

    Raises MeasurementError if that takes longer than SETTLE_SECONDS.
    """
    deadline, pause = time.monotonic() + SETTLE_SECONDS, _FIRST_PAUSE_SECONDS
    while True:
        found = _read_if_there(admin)
        if found and is_done(found):
            return found
        if time.monotonic() > deadline:
            raise MeasurementError(f"the sidecar has not done its work within {SETTLE_SECONDS:g} s: {found}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _read_if_there(admin: str) -> Ledger | None:
    try:
        return read(admin)
    except (urllib.error.URLError, ConnectionError):
        return None


def ended(found: Ledger) -> int:
    """Exchanges that are no longer open."""
    counts = found["exchanges"]
    return int(counts["unwanted"] + counts["taken"] + lost(found))


def lost(found: Ledger) -> int:
    return int(sum(found["exchanges"]["lost"].values()))


def has_ended(found: Ledger) -> bool:
    """True if a relay is heard and every exchange that it saw has its end."""
    counts = found["exchanges"]
    return bool(counts.get("relays", 1)) and counts["seen"] == ended(found)


def is_quiet(found: Ledger) -> bool:
    """True if, besides, no job is pending."""
    return has_ended(found) and not found["total"]["pending"]


def unaccounted(sent: int, found: Ledger) -> int:
    """Exchanges and jobs whose end is not told, of `sent` calls with one input each that one collector matched."""
    exchanges, total = found["exchanges"], found["total"]
    untold = abs(sent - exchanges["seen"]) + abs(exchanges["seen"] - ended(found) - exchanges.get("open", 0))
    jobs = abs(total["matched"] - sum(total[name] for name in ENDS))
    return int(untold + jobs + max(exchanges["taken"] - total["matched"], 0))
