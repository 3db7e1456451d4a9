"""`sidecar status`: the ledger of a running sidecar, read over its admin API."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from sidecar.cli.asking import ask, no_sidecar
from sidecar.errors import SidecarError
from sidecar.settings import Address, Settings

VERDICTS = ("matched", "filtered", "delivered", "dead", "dropped", "pending")


def status(settings: Settings) -> int:
    """Print both sums and a row a collector; exit 0 when a sidecar answered, 1 when none did."""
    try:
        ledger = _read(ask(settings, "GET", "/v1/ledger"), settings.admin)
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    console = Console()
    console.print(exchanges_table(ledger["exchanges"]))
    console.print()
    console.print(jobs_table(ledger))
    return 0


def _read(content: bytes, address: Address) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not {"exchanges", "total", "reasons", "collectors"} <= answer.keys():
        raise SidecarError(no_sidecar(address))
    return answer


def exchanges_table(exchanges: Mapping[str, Any]) -> Table:
    table = _table("Exchanges, since the relay's start")
    columns = ("seen", "unwanted", "taken", "lost", "open")
    for name in columns:
        table.add_column(name, justify="right", min_width=9)
    counts = {**exchanges, "lost": sum(exchanges["lost"].values())}
    table.add_row(*(f"{counts[name]:,}" for name in columns))
    table.caption = _list_reasons("lost", exchanges["lost"])
    return table


def jobs_table(ledger: Mapping[str, Any]) -> Table:
    """A row a collector, the total, and why inputs were filtered, dropped, died or wait."""
    table = _table("Inputs, by collector")
    table.show_footer = True
    table.add_column("collector", footer="total", min_width=16, overflow="fold")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right", min_width=8, footer=f"{ledger['total'][verdict]:,}")
    for key, counts in sorted(ledger["collectors"].items()):
        table.add_row(key, *(f"{counts[verdict]:,}" for verdict in VERDICTS))
    said = (_list_reasons(verdict, ledger["reasons"].get(verdict, {})) for verdict in VERDICTS)
    table.caption = "\n".join(filter(None, said))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False)


def _list_reasons(verdict: str, reasons: Mapping[str, int]) -> str:
    """`dropped: no_output 4, disk_full 1`; blank where no reason has a count."""
    said = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()) if reason and count)
    return f"{verdict}: {said}" if said else ""
