"""`sidecar status`: the ledger of a running sidecar, read over its admin API."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from sidecar.settings import Settings

VERDICTS = ("matched", "filtered", "delivered", "dead", "dropped", "pending")
TIMEOUT_SECONDS = 10.0


def status(settings: Settings) -> int:
    """Print both sums and a row a collector; exit 0 when a sidecar answered, 1 when none did."""
    try:
        ledger = _get(settings, "/v1/ledger")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sidecar: no sidecar answers at {settings.admin}: {error}\n")
        sys.stderr.write("Is it running? Name its admin address with --admin and its token with SIDECAR_ADMIN_TOKEN.\n")
        return 1
    console = Console()
    console.print(exchanges_table(ledger["exchanges"]))
    console.print(jobs_table(ledger))
    return 0


def _get(settings: Settings, path: str) -> dict[str, Any]:
    host = f"[{settings.admin.host}]" if ":" in settings.admin.host else settings.admin.host
    request = urllib.request.Request(f"http://{host}:{settings.admin.port}{path}")
    if settings.admin_token:
        request.add_header("Authorization", f"Key {settings.admin_token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy: it is beside us
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def exchanges_table(exchanges: Mapping[str, Any]) -> Table:
    table = Table(title="Exchanges, since the relay's start", title_justify="left", box=None, pad_edge=False)
    lost = exchanges["lost"]
    columns = ("seen", "unwanted", "taken", "lost", "open")
    for name in columns:
        table.add_column(name, justify="right", min_width=9)
    counts = {**exchanges, "lost": sum(lost.values())}
    table.add_row(*(f"{counts[name]:,}" for name in columns))
    if lost:
        table.caption = "lost: " + ", ".join(f"{reason} {count:,}" for reason, count in sorted(lost.items()))
        table.caption_justify = "left"
    return table


def jobs_table(ledger: Mapping[str, Any]) -> Table:
    table = Table(title="Inputs, by collector", title_justify="left", box=None, pad_edge=False, show_footer=True)
    table.add_column("collector", footer="total", min_width=20)
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right", min_width=9, footer=f"{ledger['total'][verdict]:,}")
    for key, counts in sorted(ledger["collectors"].items()):
        table.add_row(key, *(f"{counts[verdict]:,}" for verdict in VERDICTS))
    return table
