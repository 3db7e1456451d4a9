"""Record files on disk: which there are, which format each is in, and their exchanges one after the other.

Does I/O and is blocking. A file's first line tells its format; `.gz` is unpacked. Promises that what cannot be read is
given as a problem with its file and line, and that the rest goes on. Lines are read one at a time, rows of Parquet some
at a time; a HAR file, which is one JSON value, is read whole.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from sidecar.errors import ConfigurationError, Problem
from sidecar.exchange import Exchange
from sidecar.records.azure import AzureHalves
from sidecar.records.exchanges import FORMAT, read_exchange
from sidecar.records.har import entries_of, read_entry
from sidecar.records.parquet_files import read_parquet
from sidecar.records.recorded import Recorded, RecordError
from sidecar.records.sagemaker import read_capture

HAR_BYTES = 512 * 2**20
"""Largest HAR file that is read."""
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".har")
_PARQUET = ".parquet"
Found = Recorded | Exchange | Problem


@dataclass(slots=True)
class Place:
    """Where the line stands that was read last."""

    file: str = ""
    line: int = 0


def record_files(path: Path) -> list[Path]:
    """`path` itself, or every record file below it, in order. Raises ConfigurationError where there is none."""
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if _is_record_file(each, path))
    else:
        found = [path] if path.is_file() else []
    if not found:
        kinds = ", ".join(_SUFFIXES)
        message = f"is no record file and holds none ({kinds}, each also .gz; {_PARQUET})"
        raise ConfigurationError(Problem(message, file=str(path)))
    return found


def _is_record_file(path: Path, root: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    is_named_so = path.suffix == _PARQUET or path.name.removesuffix(".gz").endswith(_SUFFIXES)
    return not is_hidden and is_named_so and path.is_file()


def read_records(
    paths: Sequence[Path], advance: Callable[[int], object] = lambda _: None, place: Place | None = None
) -> Iterator[Found]:
    """What stands in `paths`; `advance` is told of every so many bytes of the files that were read, and `place` says
    where what was given last stands: of what is joined from two lines, the second."""
    place = place or Place()
    halves = AzureHalves()
    for path in paths:
        place.file, place.line = str(path), 0
        try:
            with path.open("rb") as raw:
                if path.suffix == _PARQUET:
                    yield from _read_parquet(path, raw, advance, place)
                else:
                    yield from _read_file(path, raw, halves, advance, place)
        except (OSError, EOFError) as error:
            yield Problem(f"cannot be read: {error}", file=str(path))
    yield from halves.rest()


def _read_file(
    path: Path, raw: IO[bytes], halves: AzureHalves, advance: Callable[[int], object], place: Place
) -> Iterator[Found]:
    file = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
    told = 0
    for number, line in enumerate(file, 1):
        place.line = number
        if number == 1 and _is_har(path, line):
            yield from _read_har(path, line + file.read(HAR_BYTES))
        elif line.strip():
            yield from _read_line(path, number, line, halves)
        at = raw.tell()
        if at > told:
            advance(at - told)
            told = at


def _read_parquet(path: Path, raw: IO[bytes], advance: Callable[[int], object], place: Place) -> Iterator[Found]:
    """A row stands in the place of a line."""
    try:
        for place.line, found in enumerate(read_parquet(raw), 1):
            if isinstance(found, RecordError):
                yield Problem(str(found), file=str(path), line=place.line)
            else:
                yield found
    except (RecordError, ConfigurationError) as error:
        yield Problem(str(error), file=str(path))
    advance(path.stat().st_size)


def _is_har(path: Path, line: bytes) -> bool:
    """By its name, or when its first line is the start of a larger JSON value."""
    if path.name.removesuffix(".gz").endswith(".har"):
        return True
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line.lstrip().startswith(b"{") and line.strip() in (b"{", b'{"log": {', b'{"log":{')
    return isinstance(document, dict) and "log" in document


def _read_line(path: Path, number: int, line: bytes, halves: AzureHalves) -> Iterator[Found]:
    try:
        yield from _read_document(orjson.loads(line), halves)
    except orjson.JSONDecodeError as error:
        yield Problem(f"is not JSON: {error.msg.partition(':')[0]}", file=str(path), line=number)
    except RecordError as error:
        yield Problem(str(error), file=str(path), line=number)


def _read_document(document: Any, halves: AzureHalves) -> Iterator[Recorded]:  # noqa: ANN401 - any JSON value
    if not isinstance(document, dict):
        raise RecordError("must be an object")
    if document.get("format") == FORMAT:
        yield read_exchange(document)
    elif "captureData" in document:
        yield read_capture(document)
    elif "specversion" in document:
        yield from halves.take(document)
    else:
        raise RecordError("is in no format that is known: exchange/1, SageMaker's capture, Azure's collection, HAR")


def _read_har(path: Path, content: bytes) -> Iterator[Found]:
    if len(content) > HAR_BYTES:
        yield Problem(f"is larger than {HAR_BYTES} bytes", file=str(path))
        return
    try:
        entries = entries_of(orjson.loads(content))
    except (orjson.JSONDecodeError, RecordError) as error:
        said = "is not JSON" if isinstance(error, orjson.JSONDecodeError) else str(error)
        yield Problem(said, file=str(path), line=1)
        return
    for number, entry in enumerate(entries):
        try:
            yield read_entry(entry, number)
        except RecordError as error:
            yield Problem(str(error), f"log.entries[{number}]", str(path))
