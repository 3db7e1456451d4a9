"""Record files: when they appear, what no kill can take or tear, what is deleted, and what a policy may say."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from contract.folder_end import ids_below
from contract.parcels import parcel
from support.clock import FakeClock
from support.entries import entry
from support.s3_server import BUCKET, s3_server

from sidecar.collector import Destination
from sidecar.data import Concept, Data, Raw, Text
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Retry
from sidecar.delivery.record_files import parts
from sidecar.delivery.record_files.destination import RecordFiles
from sidecar.delivery.record_files.local_folder import ASIDE, ASIDE_SECONDS, LocalFolder
from sidecar.delivery.record_files.options import RecordFilesOptions
from sidecar.delivery.record_files.parts import ABANDONED_SECONDS
from sidecar.delivery.record_files.retention import outdated
from sidecar.delivery.record_files.stores import Found, Store, open_store
from sidecar.delivery.registry import check_options
from sidecar.errors import ConfigurationError, Problem
from sidecar.records.files import read_records, record_files
from sidecar.records.formats import FORMATS
from sidecar.records.recorded import Recorded

ALL_DELIVERED = [Delivered()] * 2


def record_files_in(folder: Path, store: Store | None = None, writer: str = "w", **options: Any) -> RecordFiles:
    told = RecordFilesOptions.model_validate({"url": str(folder), **options})
    return RecordFiles(told, store or open_store(told), writer, FakeClock())


def some(*names: str) -> list[Parcel]:
    return [parcel(name) for name in names]


def whole_files(folder: Path) -> list[Path]:
    """What readers see: no part, nothing that is written aside."""
    return [path for path in folder.rglob("*.jsonl") if not any(part.startswith(".") for part in path.parts)]


def ids(parcels: Sequence[Parcel]) -> list[str]:
    return sorted(each.input_id for each in parcels)


async def test_what_is_delivered_is_on_the_disk_and_becomes_a_file_when_it_is_large_enough(tmp_path: Path) -> None:
    files = record_files_in(tmp_path, roll_size="2kB")
    assert await files.deliver(some("a", "b")) == ALL_DELIVERED
    assert sorted(ids_below(tmp_path)) == ids(some("a", "b"))
    assert whole_files(tmp_path) == []
    await files.deliver(some("c", "d", "e", "a"))
    await rolled(files)
    (path,) = whole_files(tmp_path)
    assert ids_below(path.parent) == [each.input_id for each in some("a", "b", "c", "d", "e")]
    assert ids_below(tmp_path / ".parts") == []
    await files.close()


async def rolled(files: RecordFiles) -> None:
    assert files._rolling is not None
    await files._rolling


async def test_what_waits_becomes_a_file_in_time_without_another_delivery(
    tmp_path: Path,
) -> None:
    files = record_files_in(tmp_path, roll_after=300)
    await files.deliver(some("a", "b"))
    assert files._timer is not None
    assert 299 < files._timer.when() - asyncio.get_running_loop().time() <= 300
    assert files._open is not None
    files._start_rolling(files._open.folder)
    await rolled(files)
    assert len(whole_files(tmp_path)) == 1
    await files.close()


async def test_the_clock_makes_a_file_due_too(tmp_path: Path) -> None:
    clock = FakeClock()
    told = RecordFilesOptions(url=str(tmp_path), roll_after=60)
    files = RecordFiles(told, open_store(told), "w", clock)
    await files.deliver(some("a", "b"))
    clock.advance(61)
    await files.deliver(some("c"))
    assert [ids_below(path.parent) for path in whole_files(tmp_path)] == [[each.input_id for each in some("a", "b")]]
    await files.close()
    assert len(whole_files(tmp_path)) == 2


async def test_what_an_earlier_life_left_is_made_a_file_without_a_delivery(tmp_path: Path) -> None:
    await record_files_in(tmp_path).deliver(some("a", "b"))
    heir = record_files_in(tmp_path)
    await heir.resume("watch")
    assert set(ids_read(tmp_path)) == set(ids(some("a", "b")))
    await heir.close()


async def test_what_its_own_sibling_began_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    clock = FakeClock()
    told = RecordFilesOptions(url=str(tmp_path))
    first, second = (RecordFiles(told, open_store(told), "w", clock) for _ in range(2))
    await first.resume("watch")
    clock.advance(2)
    await second.deliver(some("a", "b"))
    await first.deliver(some("c"))
    await first.close()
    assert set(ids_read(tmp_path)) == set(ids(some("c")))
    await second.close()
    assert set(ids_read(tmp_path)) == set(ids(some("a", "b", "c")))


class Died(BaseException):
    """The process is gone: nothing of it runs any more."""


class Mortal(LocalFolder):
    """A folder whose user dies right before, or right after, the n-th change that it makes there."""

    def __init__(self, root: str, changes: int, *, after: bool) -> None:
        super().__init__(root, 10)
        self.left = changes
        self._after = after

    async def put(self, path: str, content: bytes) -> None:
        await self._do_or_die(super().put, path, content)

    async def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            await self._do_or_die(super().delete, [path])

    async def _do_or_die(self, change: Any, *args: Any) -> None:
        self.left -= 1
        if self.left < 0 and not self._after:
            raise Died
        await change(*args)
        if self.left < 0:
            raise Died


DELIVERIES = (("a", "b"), ("c",), ("d", "e"), ("f",))


@pytest.mark.parametrize(
    ("form", "writer", "after"),
    [("exchange", "w", False), ("exchange", "somebody else", True), ("parquet", "w", True)],
)
async def test_no_kill_loses_or_tears_a_record(tmp_path: Path, form: str, writer: str, after: bool) -> None:
    """Killed at each change that it makes; then another life, of its own or of a neighbour, goes on."""
    changes, was_killed = 0, True
    while was_killed:
        folder = tmp_path / str(changes)
        was_killed, delivered = await _live(folder, Mortal(str(folder), changes, after=after), form)
        clock = FakeClock()
        clock.advance(10 * 365 * 86_400)  # far beyond the files' own times
        told = RecordFilesOptions(url=str(folder), format=form)
        heir = RecordFiles(told, open_store(told), writer, clock)
        assert await heir.deliver(some("z")) == [Delivered()]
        await heir.close()
        counts = ids_read(folder)
        assert set(ids(some(*delivered, "z"))) <= set(counts), (changes, delivered)
        assert list(folder.glob(".parts/**/*.jsonl")) == []
        changes += 1
    assert changes > 8


async def _live(folder: Path, store: Mortal, form: str) -> tuple[bool, list[str]]:
    """True if it died, and the names that it said were delivered."""
    delivered: list[str] = []
    files = record_files_in(folder, store, format=form, roll_size=2500)
    try:
        for names in DELIVERIES:
            if await files.deliver(some(*names)) == [Delivered()] * len(names):
                delivered += names
            if files._rolling is not None:
                await files._rolling
        await files.close()
    except Died:
        await store.close()
        return True, delivered
    return False, delivered


def ids_read(folder: Path) -> Counter[str]:
    """The input ids in whole files, as our own reader finds them: by exchange, which has one input here."""
    names = {parcel(name).exchange_id: parcel(name).input_id for name in "abcdefz"}
    found = list(read_records(record_files(folder)))
    assert not [each for each in found if isinstance(each, Problem)]
    return Counter(names[each.id.hex()] for each in found if isinstance(each, Recorded))


async def test_what_a_neighbour_may_still_be_writing_is_left_to_it(tmp_path: Path) -> None:
    living = record_files_in(tmp_path, writer="living")
    await living.deliver(some("a", "b"))
    clock = FakeClock()
    clock.advance(time.time() - clock.now() + 300 + ABANDONED_SECONDS - 60)
    told = RecordFilesOptions(url=str(tmp_path))
    for seconds, expected in ((0, []), (120, ids(some("a", "b")))):
        clock.advance(seconds)
        other = RecordFiles(told, open_store(told), "other", clock)
        await other.deliver(some("z"))
        await other.close()
        found = [input_id for path in whole_files(tmp_path) for input_id in ids_below(path.parent)]
        assert set(found) - set(ids(some("z"))) == set(expected)
    await living.deliver(some("c"))  # whose earlier parts somebody else made a file of
    await living.close()
    assert set(ids_read(tmp_path)) == set(ids(some("a", "b", "c", "z")))


async def test_a_fault_in_making_files_holds_up_what_is_new_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    files = record_files_in(tmp_path, roll_size=1)
    blocker = tmp_path / "watch"
    blocker.write_text("where the folder of files should be")
    assert await files.deliver(some("a", "b")) == ALL_DELIVERED
    await rolled(files)
    (outcome,) = {type(each): each for each in await files.deliver(some("c", "d"))}.values()
    assert getattr(outcome, "reason", "") == "no_folder"
    blocker.unlink()
    assert await files.deliver(some("c", "d")) == ALL_DELIVERED
    await files.close()
    assert set(ids_read(tmp_path)) == set(ids(some("a", "b", "c", "d")))


async def test_a_format_that_fails_is_said_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = record_files_in(tmp_path, roll_size=1)
    with monkeypatch.context() as patch:
        patch.setattr(parts, "FORMATS", {"exchange": lambda *_: 1 / 0})
        assert await files.deliver(some("a")) == [Delivered()]
        await rolled(files)
        (outcome,) = await files.deliver(some("b"))
        assert isinstance(outcome, Retry)
        assert outcome.reason == "format_failed"
        assert "ZeroDivisionError" in outcome.detail
    assert await files.deliver(some("b")) == [Delivered()]
    await files.close()
    assert set(ids_read(tmp_path)) == set(ids(some("a", "b")))


async def test_what_its_collector_posts_is_kept_beside_the_original(tmp_path: Path) -> None:
    posted = Data(concepts=(Concept("cat", 0.5),))
    files = record_files_in(tmp_path)
    await files.deliver([parcel("a")._replace(data=posted, wire=b""), parcel("b")])
    await files.close()
    (path,) = whole_files(tmp_path)
    first, second = map(orjson.loads, path.read_bytes().splitlines())
    assert first["posted"] == {"concepts": [{"id": "cat", "name": "cat", "value": 0.5}]}
    assert first["inputs"][0]["text"] == {"raw": "text of a"}
    assert "posted" not in second
    assert (second["status"], second["latency_seconds"]) == (200, 0.0125)
    assert (second["sample_exchanges"], second["sample_inputs"]) == (0.5, 0.2)
    assert second["inputs"][0]["metadata"]["headers"]["traceparent"].startswith("00-")


async def test_a_parcel_that_no_line_can_hold_costs_nothing_but_itself(tmp_path: Path) -> None:
    files = record_files_in(tmp_path)
    broken = parcel("b")._replace(data=Data(text=Text("\ud800")), wire=b"")
    first, refused, last = await files.deliver([parcel("a"), broken, parcel("c")])
    await files.close()
    assert (first, last) == (Delivered(), Delivered())
    assert getattr(refused, "reason", "") == "unencodable"
    assert set(ids_read(tmp_path)) == set(ids(some("a", "c")))


def test_the_oldest_go_first() -> None:
    files = [Found(name, 10, float(at)) for at, name in enumerate("abcd")]
    assert outdated(files, now=10) == []
    assert outdated(files, now=10, keep_for=8) == ["a", "b"]
    assert outdated(files, now=10, keep_size=25) == ["a", "b"]
    assert outdated(files, now=10, keep_for=7, keep_size=35) == ["a", "b", "c"]
    assert outdated(files, now=3, keep_for=3, keep_size=40) == []


@pytest.mark.parametrize("limit", [{"keep_for": "1d"}, {"keep_size": 1}])
async def test_only_what_this_destination_wrote_is_deleted(tmp_path: Path, limit: dict[str, Any]) -> None:
    kept = record_files_in(tmp_path)
    await kept.deliver(some("a"))
    await kept.close()
    other = record_files_in(tmp_path)
    await other.deliver([parcel("o")._replace(collector="other")])
    await other.close()
    strange = tmp_path / "watch" / "2023" / "11" / "14" / "22" / "20231114T221320Z-0011223344556677-1-1-89abcdef.jsonl"
    strange.write_text("somebody else's\n")
    old = record_files_in(tmp_path, format="sagemaker")
    await old.deliver(some("s"))
    await old.close()
    before = all_files(tmp_path)
    own = {path for path in whole_files(tmp_path) if ids_of(path) & set(ids(some("a")))}
    assert len(own) == 1
    for path in before:
        os.utime(path, (1, 1))

    limited = record_files_in(tmp_path, **limit)
    await limited.deliver(some("n"))
    await limited.close()
    after = all_files(tmp_path)
    assert before - after == own
    assert len(after - before) == (1 if "keep_for" in limit else 0)


def all_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def ids_of(path: Path) -> set[str]:
    lines = path.read_bytes().splitlines()
    return {orjson.loads(line).get("input_id") for line in lines if line.startswith(b"{")}


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_known_by_its_name_alone(tmp_path: Path, form: str) -> None:
    store = LocalFolder(str(tmp_path), 1)
    large, binary = Data(text=Text("x" * 5_000_000)), Data(raw=Raw(b"\x00"))
    entries = [entry("a", large, large), entry("b", binary), entry("c", Data(concepts=(Concept("cat", 0.5),)))]
    own = parts.Parts(store, "watch", form, "w", 300, 0)
    name = own._name([f"{own.begin(0).folder}{number:06d}.jsonl" for number in (1, 7)])
    paths = [file.path for file in FORMATS[form](entries, name)]
    assert len(paths) >= (4 if form.startswith("azure") else 1)
    assert all(own.is_own(path) for path in paths)
    for other in (parts.Parts(store, "other", form, "w", 300, 0), parts.Parts(store, "watch", "another", "w", 300, 0)):
        assert not any(other.is_own(path) for path in paths)
    assert not any(own.is_own(path.replace("-1-7-", "-1-8-")) for path in paths)


async def test_a_destination_that_was_closed_takes_nothing_and_does_not_raise(tmp_path: Path) -> None:
    files = record_files_in(tmp_path)
    await files.close()
    (outcome,) = await files.deliver(some("a"))
    assert getattr(outcome, "reason", "") == "closed"


async def test_what_a_kill_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ASIDE).mkdir()
    for name, age in (("old", ASIDE_SECONDS + 1), ("new", 0.0)):
        path = tmp_path / ASIDE / name
        path.write_text("half a li")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    files = record_files_in(tmp_path)
    await files.deliver(some("a"))
    await files.close()
    assert [path.name for path in (tmp_path / ASIDE).iterdir()] == ["new"]


@asynccontextmanager
async def in_a_bucket(**options: Any) -> AsyncIterator[tuple[Any, Any]]:
    async with s3_server() as server:
        told = {"url": f"s3://{BUCKET}/some/where", "endpoint": server.url, **options}

        def open_files(clock: FakeClock) -> RecordFiles:
            read = RecordFilesOptions.model_validate(told)
            return RecordFiles(read, open_store(read), "w", clock)

        yield server, open_files


async def test_a_bucket_holds_whole_files_and_what_an_earlier_life_left_becomes_one(tmp_path: Path) -> None:
    async with in_a_bucket(format="parquet", keep_for="1d") as (server, open_files):
        killed = open_files(FakeClock())
        assert await killed.deliver(some("a", "b")) == ALL_DELIVERED
        assert await killed.deliver(some("c")) == [Delivered()]
        assert [key.split("/")[2] for key in await server.objects()] == [".parts"] * 2
        clock = FakeClock()
        files = open_files(clock)
        await files.deliver(some("d"))
        await files.close()
        for key, content in (await server.objects()).items():
            path = tmp_path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert set(ids_read(tmp_path / "some" / "where" / "watch")) == set(ids(some("a", "b", "c", "d")))
        assert all("/watch/day=2023-11-14/" in key for key in await server.objects())
        clock.advance(10 * 365 * 86_400)
        late = open_files(clock)
        await late.deliver(some("e"))
        await late.close()
        assert await server.objects() == {}


def problems(**options: object) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        check_options(Destination("files", options))
    return {problem.field.removeprefix("destination.files"): problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({}, ".url", "is missing"),
        ({"url": "records"}, ".url", "write an absolute path"),
        ({"url": "ftp://host/x"}, ".url", "write an absolute path"),
        ({"url": "file://host/x"}, ".url", "write an absolute path"),
        ({"url": "s3:///x"}, ".url", "names no bucket"),
        ({"url": "s3://key:s3cret@bucket/x"}, ".url", "must hold no user or password"),
        ({"url": "az://box/x?sig=s3cret"}, ".url", "credentials come from the environment"),
        ({"url": "/x", "format": "xml"}, ".format", "must be one of exchange, parquet"),
        ({"url": "/x", "secret_access_key": "s3cret"}, ".secret_access_key", "no such field"),
        ({"url": "/x", "roll_size": "many"}, ".roll_size", "is not a size"),
        ({"url": "/x", "roll_after": "soon"}, ".roll_after", "is not a duration"),
        ({"url": "/x", "keep_for": "0s"}, ".keep_for", "must be more than 0"),
        ({"url": "/x", "roll_size": "1TB"}, ".roll_size", "must be at most"),
        ({"url": "s3://b/x", "endpoint": "http://me:s3cret@host"}, ".endpoint", "must hold no user or password"),
        ({"url": "/x", "region": "eu-west-1"}, "", "region is for s3 addresses only"),
    ],
)
def test_what_a_policy_may_not_say_is_named_and_no_secret_is_repeated(
    options: dict[str, object], field: str, said: str
) -> None:
    found = problems(**options)
    assert said in found[field]
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("url", ["/x", "file:///x", "s3://b", "s3://b/x", "gs://b/x", "az://c/x"])
def test_every_kind_of_address_is_taken(url: str) -> None:
    check_options(Destination("files", {"url": url, "keep_for": "30d", "keep_size": "10GiB"}))


@pytest.mark.parametrize(
    ("name", "options", "extra"),
    [("pyarrow", {"url": "/x", "format": "parquet"}, "parquet"), ("obstore", {"url": "s3://b/x"}, "object-stores")],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, object], extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda wanted: None if wanted == name else object())
    assert f"pip install 'collector-sidecar[{extra}]'" in str(problems(**options))
