"""What one `collect` recorded. Values only."""

from __future__ import annotations

from typing import Any, List, NamedTuple

Row = List[Any]
"""Cells that nobody can change any more: numbers, text, true, false, nothing."""


class Table(NamedTuple):
    """Rows under their columns, every row as long as there are columns."""

    columns: tuple[str, ...]
    rows: list[Row]
    weight_bytes: int
    """What the rows hold in memory, roughly."""


class Identity(NamedTuple):
    """Whose rows they are: the parts of the documented path, `unknown` where nobody told."""

    subscription: str
    resource_group: str
    account: str
    webservice: str
    model_id: str
    model_name: str
    model_version: str


class Correlation(NamedTuple):
    """What ties rows to their request."""

    seconds: float
    """When the request was, since the epoch."""
    correlation_id: str
    request_id: str


class Record(NamedTuple):
    """The rows of one `collect`."""

    id: str
    """32 hex digits, random: by it a row that is sent twice is known as one."""
    identity: Identity
    identifier: str
    designation: str
    """Blank where the collector was named by an identifier."""
    file_stem: str
    """The documented file's name, less `.csv`."""
    correlation: Correlation
    table: Table
