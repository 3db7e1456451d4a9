"""`sidecar jobs show ID`: one job at the terminal, with what each node made of it and every try for each destination.

Prints what `GET /v1/jobs/{id}` tells but the input and output themselves: a terminal is no place for what was captured.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_FACTS = ("collector", "caller", "model", "version", "exchange_id", "input_index")


def show(job: Mapping[str, Any]) -> None:
    """Print the `job` of an answer."""
    console = Console()
    console.print(f"job {job['id']}, kept {_moment(job['created_at'])}", markup=False)
    for name in _FACTS:
        if job[name] != "":
            console.print(f"  {name}: {job[name]}", markup=False)
    console.print(f"  status: {job['exchange']['status'] or 'no answer'}", markup=False)
    nodes = [(place, node) for place in ("pre_queue", "post_queue") for node in _nodes_of(job, place)]
    if nodes:
        console.print(_table(("workflow", "node", "is", "verdict"), (_node_cells(*each) for each in nodes)))
    console.print(_table(("destination", "try", "at", "outcome", "detail"), _tries_of(job)))


def _nodes_of(job: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    trace = job[place]
    return [{**node, "workflow": trace["workflow"]} for node in trace["nodes"]] if trace else []


def _node_cells(place: str, node: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{node['workflow']} ({place})", node["id"], node["kind"], node["verdict"].replace("_", " "))


def _tries_of(job: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The failed ones of each destination, and how it stands now."""
    for each in job["destinations"]:
        name = each["destination"]
        for index, tried in enumerate(each["tries"]):
            if each["tries_left_out"] and index == each["left_out_after"]:
                yield (name, "", "", f"{each['tries_left_out']} more failed here", "")
            yield (name, str(tried["attempt"]), _moment(tried["at"]), tried["reason"], tried["detail"])
        is_waiting = each["state"] == "queued"
        when = each["retry_at"] if is_waiting else each["settled_at"]
        yield (name, str(each["attempts"]), _moment(when), "next try" if is_waiting else each["state"], each["detail"])


def _table(names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    return table


def _plain(text: str) -> str:
    """A far side's words are no markup."""
    return text.replace("[", "\\[")


def _moment(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds") if at else "–"
