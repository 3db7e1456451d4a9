"""`sidecar import`: recorded inputs become inputs of a running sidecar's app, by its POST inputs.

Each goes under the id that it has in its record, or that its exchange and its place there give: whoever imports the
same file twice, or goes on where it broke off, doubles nothing. The model's output goes along as with
`collect_outputs`. What cannot be read is named by file and line, what is refused by its id as well; the rest goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from sidecar.backtest.sources import MODEL_OUTPUT, decoded
from sidecar.capture.arrival import ArrivalReader
from sidecar.capture.caller import Callers, read_keys
from sidecar.cli.asking import asked, no_sidecar, refusal
from sidecar.collector import Collector, Source
from sidecar.data import Data, to_wire
from sidecar.delivery.destination import input_id_of
from sidecar.delivery.wire import MAX_REQUEST_BYTES, Item, join, to_groups
from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.exchange import Exchange
from sidecar.pipeline.parcel import posted_data
from sidecar.records.files import Found, Place, read_records, record_files
from sidecar.records.recorded import Recorded
from sidecar.settings import Settings

NAMED = 20
"""How many faults are named; the rest is counted."""
TAKEN = 30001
DUPLICATE_ID = "Input has a duplicate ID."
_ATTACHING = Collector("import", Source(""), collect_outputs=True)


class Placed(NamedTuple):
    """An input to post, and where its record stands."""

    item: Item
    where: str


class Tally:
    """What became of the inputs and lines; names the first faults on standard error."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._named = 0

    def fault(self, kind: str, said: object) -> None:
        self.counts[kind] += 1
        self._named += 1
        if self._named <= NAMED:
            sys.stderr.write(f"sidecar: {said}\n")

    def end(self) -> int:
        """Say it all; the exit code."""
        if self._named > NAMED:
            sys.stderr.write(f"sidecar: and {self._named - NAMED:,} more\n")
        counts = self.counts
        sys.stdout.write(
            f"{counts['new']:,} new, {counts['known']:,} known already, {counts['refused']:,} refused, "
            f"{counts['unreadable']:,} unreadable\n"
        )
        return 1 if self._named else 0


def import_records(settings: Settings, given: argparse.Namespace) -> int:
    """Post them; exit 1 when one was refused or unreadable, or no sidecar takes them. Raises ConfigurationError."""
    paths = [path for name in given.files for path in record_files(Path(name))]
    path, tally = _path_of(given.app), Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("imported", total=sum(each.stat().st_size for each in paths))
            place = Place()
            found = read_records(paths, lambda done: progress.advance(bar, done), place)
            for group in _groups(_placed(settings, found, place, tally)):
                _post(settings, path, group, tally)
    except SidecarError as error:
        tally.fault("failed", error)
    return tally.end()


def _path_of(app: str) -> str:
    user_id, _, app_id = app.partition("/")
    if not user_id or not app_id or "/" in app_id:
        raise ConfigurationError(Problem("must be USER/APP, such as local/main", field="--app"))
    return f"/v2/users/{quote(user_id, '')}/apps/{quote(app_id, '')}/inputs"


def _placed(settings: Settings, records: Iterator[Found], place: Place, tally: Tally) -> Iterator[Placed]:
    keys = read_keys(settings.keys) if settings.keys else {}
    arrivals = ArrivalReader(Callers(settings.caller_header, keys), settings.metadata_headers)
    for found in records:
        if isinstance(found, Problem):
            tally.fault("unreadable", found)
            continue
        where = f"{place.file}:{place.line}"
        recorded = decoded(found, arrivals) if isinstance(found, Exchange) else found
        try:
            items = [] if recorded is None else list(_items(recorded))  # None: no predict call
        except (ConfigurationError, orjson.JSONEncodeError) as error:
            tally.fault("unreadable", f"{where}: {error}")
            continue
        for item in items:
            if len(item.body) < MAX_REQUEST_BYTES:
                yield Placed(item, where)
            else:
                tally.fault("refused", f"{where}: input {item.input_id}: is larger than a request may be")


def _items(recorded: Recorded) -> Iterator[Item]:
    call = recorded.call
    for index, (data, output) in enumerate(zip(call.inputs, call.outputs, strict=True)):
        place = recorded.first_index + index
        name = recorded.input_id or input_id_of(recorded.id.hex(), place, recorded.collector)
        wire = {"id": name, "data": to_wire(_posted(data, output))}
        yield Item(place, name, orjson.dumps(wire), data.video is not None)


def _posted(data: Data, output: Data | None) -> Data:
    """With the model's output attached, unless it was already."""
    return data if MODEL_OUTPUT in data.metadata else posted_data(_ATTACHING, data, output, None)


def _groups(placed: Iterator[Placed]) -> Iterator[list[Placed]]:
    """Cut into requests: `to_groups` on the items, each with its place."""
    wheres: dict[int, str] = {}

    def items() -> Iterator[Item]:
        for number, each in enumerate(placed):
            wheres[number] = each.where
            yield each.item._replace(place=number)

    for group in to_groups(items()):
        yield [Placed(item, wheres.pop(item.place)) for item in group]


def _post(settings: Settings, path: str, group: Sequence[Placed], tally: Tally) -> None:
    """Raises SidecarError when the request as a whole is refused."""
    _, answer = asked(settings, "POST", path, join(each.item for each in group))
    try:
        statuses = [each["status"] for each in orjson.loads(answer)["inputs"]]
    except (ValueError, KeyError, TypeError):
        raise SidecarError(refusal(settings.admin, answer)) from None
    if len(statuses) != len(group):
        raise SidecarError(no_sidecar(settings.admin))
    for each, status in zip(group, statuses, strict=True):
        details = status.get("details", "")
        if status["code"] == TAKEN:
            tally.counts["new"] += 1
        elif details == DUPLICATE_ID:
            tally.counts["known"] += 1
        else:
            tally.fault("refused", f"{each.where}: input {each.item.input_id}: {details}")
