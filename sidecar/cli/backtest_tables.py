"""A back-test's report as tables and text bars for the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

BAR_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def show(found: dict[str, Any], console: Console) -> None:
    """Print the whole report."""
    _show_trial(found, console)
    if "against" in found:
        console.print()
        _show_trial(found["against"], console)
        console.print()
        console.print(_comparison(found))
    unreadable = found["unreadable"]
    if unreadable["count"]:
        console.print(f"\n{unreadable['count']:,} records could not be read, the first of them:")
        for problem in unreadable["first"]:
            console.print(f"  {escape(problem)}")


def _show_trial(found: dict[str, Any], console: Console) -> None:
    console.print(_summary(found))
    for said in _said(found):
        console.print(said)
    if found["nodes"]:
        console.print()
        console.print(_nodes(found["nodes"]))
    console.print()
    console.print(_callers(found["callers"]))
    console.print()
    console.print(_classes(found["classes"]))
    for node in found["nodes"]:
        if sum(node.get("histogram", {}).get("bins", ())):
            console.print()
            console.print(_histogram(node))


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first, min_width=16, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", min_width=8)
    return table


def _summary(found: dict[str, Any]) -> Table:
    inputs = found["inputs"]
    table = _table(f"What {escape(found['collector'])} would have kept", "inputs", "count")
    table.add_row("matched", f"{inputs['matched']:,}")
    table.add_row("= kept", f"{inputs['kept']:,}", style="bold")
    for reason, count in inputs["filtered"].items():
        table.add_row(f"+ filtered, {reason.replace('_', '-')}", f"{count:,}")
    for reason, dropped in inputs["dropped"].items():
        table.add_row(f"+ dropped, {reason}", f"{dropped['count']:,}")
    if inputs["unknown"]:
        table.add_row("+ unknown", f"{inputs['unknown']:,}")
    return table


def _said(found: dict[str, Any]) -> list[str]:
    exchanges = found["exchanges"]
    left_out = ", ".join(f"{exchanges[name]:,} {name.replace('_', ' ')}" for name in ("unwanted", "not_sampled"))
    said = [f"Of {exchanges['read']:,} exchanges, {left_out}."]
    per_day = found["kept_per_day"]
    if per_day is not None:
        hours = found["span_seconds"] / 3600
        said.append(f"About {per_day:,.0f} inputs a day would be kept, judged by the {hours:,.2g} hours of the record.")
    if found["inputs"]["unknown"]:
        said.append("Unknown: a model would have to be asked. --ask-models asks it.")
    if found["exchanges"]["assumed"]:
        count = found["exchanges"]["assumed"]
        said.append(f"{count:,} exchanges name no model: they are taken for calls that this collector watches.")
    said += [
        f"{reason}: {escape(dropped['detail'])}"
        for reason, dropped in found["inputs"]["dropped"].items()
        if dropped["detail"]
    ]
    return said


def _nodes(nodes: list[dict[str, Any]]) -> Table:
    table = _table("What each node did", "node", "in", "out", "filtered", "failed", "unknown")
    for node in nodes:
        place = f"{node['workflow']}/{node['node']}" if node["workflow"] else node["node"]
        kind = "" if node["operator"] == node["node"] else f" ({node['operator']})"
        counts = (f"{node[name]:,}" for name in ("in", "out", "filtered", "failed", "unknown"))
        table.add_row(escape(place + kind), *counts)
    return table


def _callers(callers: dict[str, dict[str, int]]) -> Table:
    table = _table("By caller", "caller", "matched", "kept")
    for name, counts in callers.items():
        table.add_row(escape(name), f"{counts['matched']:,}", f"{counts['kept']:,}")
    return table


def _classes(classes: dict[str, int]) -> Table:
    table = _table("By top concept", "class", "kept")
    for name, count in classes.items():
        table.add_row(escape(name), f"{count:,}")
    return table


def _histogram(node: dict[str, Any]) -> Text:
    """A bar for each bin with a line where the threshold is; bins that are kept are filled."""
    histogram = node["histogram"]
    bins, threshold, keeps = histogram["bins"], histogram["threshold"], histogram["keeps"]
    text = Text(f"{node['workflow']}/{node['node']}: {histogram['value']}, kept {keeps} {threshold:g}\n")
    width, most, is_drawn = 1 / len(bins), max(bins), False
    for number, count in enumerate(bins):
        low = number * width
        if not is_drawn and low >= threshold - 1e-9:
            text.append(f"{'─' * 12}┤ {threshold:g}\n", style="bold")
            is_drawn = True
        is_kept = (low + width / 2 > threshold) == keeps.startswith(">")
        text.append(f" {low:.2f}–{low + width:.2f} │")
        text.append(f"{_bar(count / most)} {count:,}\n" if count else "\n", style="" if is_kept else "dim")
    if not is_drawn:
        text.append(f"{'─' * 12}┤ {threshold:g}\n", style="bold")
    if histogram["outside"]:
        text.append(f"{histogram['outside']:,} outside of 0 to 1\n")
    text.rstrip()
    return text


def _bar(share: float) -> str:
    eighths = max(round(share * BAR_WIDTH * 8), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _comparison(found: dict[str, Any]) -> Table:
    compared = found["comparison"]
    names = {
        "both": "kept by both",
        "only_first": f"only by {escape(found['collector'])}",
        "only_second": f"only by {escape(found['against']['collector'])}",
    }
    table = _table("Side by side", "inputs", "count")
    table.add_column("such as (exchange/input)", overflow="fold")
    for name, said in names.items():
        table.add_row(said, f"{compared[name]:,}", ", ".join(compared["examples"][name][:2]))
    return table
