"""Record files: each delivery is put down to stay, and becomes part of a file when that is due.

Owns the order: what an earlier life left behind is finished first, at the start; what is due becomes files; then the
delivery is put down and counts as delivered. Where the first two fail, nothing new is taken: the fault shows in the
queue, and what waits to become a file stays bounded. Promises an outcome for every parcel whatever the store does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import orjson

from sidecar.data import to_wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.record_files.options import RecordFilesOptions
from sidecar.delivery.record_files.parts import OpenSet, Parts
from sidecar.delivery.record_files.retention import outdated
from sidecar.delivery.record_files.stores import Store, StoreError
from sidecar.kit.clock import Clock
from sidecar.kit.json import dumps
from sidecar.records.entries import Known, write_entry

MOST_BYTES = 64 * 2**20
"""Largest part: a delivery that is larger is put down as several."""
AGAIN_SECONDS = 60.0
BUSY_SECONDS = 1.0
CLOSING_SECONDS = 5.0


class RecordFiles:
    """One collector's record files. `writer` names this process and is the same after its restart."""

    max_batch = 512

    def __init__(self, options: RecordFilesOptions, store: Store, writer: str, clock: Clock) -> None:
        self._options = options
        self._store = store
        self._writer = writer
        self._clock = clock
        self._parts: Parts | None = None
        self._open: OpenSet | None = None
        self._owed: list[str] = []
        """Folders of sets that are to become files now."""
        self._must_retain = False
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._rolling: asyncio.Task[None] | None = None
        self._is_closed = False

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Put `parcels` down: all but those that no line can hold, or none."""
        lines: list[bytes] = []
        outcomes: list[Outcome] = []
        for parcel in parcels:
            try:
                lines.append(line_of(parcel))
                outcomes.append(Delivered())
            except orjson.JSONEncodeError as error:
                outcomes.append(Rejected("unencodable", f"the input cannot be written as JSON: {error}"))
        if not lines:
            return outcomes
        fault = await self._put_down(parcels[0].collector, lines)
        return outcomes if fault is None else [fault if isinstance(each, Delivered) else each for each in outcomes]

    async def resume(self, collector: str) -> None:
        """Make files of what an earlier life left behind of `collector`."""
        with contextlib.suppress(StoreError):
            async with self._lock:
                if not self._is_closed:
                    await self._roll(await self._begun(collector), is_due=False)

    async def _put_down(self, collector: str, lines: Sequence[bytes]) -> Outcome | None:
        try:
            async with self._lock:
                if self._is_closed:
                    return Retry("closed", "this destination is no longer in use")
                parts = await self._begun(collector)
                await self._roll(parts, self._is_due())
                for group in _groups(lines):
                    await self._add(parts, group)
                if self._open is not None and self._is_due():
                    self._start_rolling(self._open.folder)
        except StoreError as fault:
            return fault.outcome
        return None

    async def _begun(self, collector: str) -> Parts:
        if self._parts is None:
            options = self._options
            now = self._clock.now()
            parts = Parts(self._store, collector, options.format, self._writer, options.roll_after, now)
            self._owed += await parts.left_behind(now)
            self._parts = parts
        return self._parts

    async def _add(self, parts: Parts, lines: bytes) -> None:
        if self._open is None:
            self._open = parts.begin(self._clock.now())
            self._wake_in(self._options.roll_after, self._open.folder)
        await parts.add(self._open, lines)

    def _is_due(self) -> bool:
        opened, options = self._open, self._options
        return opened is not None and (
            opened.size_bytes >= options.roll_size
            or self._clock.now() - opened.begun_at >= options.roll_after
            or opened.is_full
        )

    async def _roll(self, parts: Parts, is_due: bool) -> None:
        """Make files of what is owed, and of the open set if that is due. Raises StoreError: the rest stays owed."""
        if is_due and self._open is not None:
            self._owed.append(self._open.folder)
            self._open = None
            self._owed += await self._abandoned(parts)
        while self._owed:
            await self._finish(parts, self._owed[0])
            del self._owed[0]
            self._must_retain = True
        if self._must_retain:
            await self._retain(parts)
            self._must_retain = False

    async def _abandoned(self, parts: Parts) -> list[str]:
        found = await parts.left_behind(self._clock.now())
        return [folder for folder in found if folder not in self._owed]

    async def _finish(self, parts: Parts, folder: str) -> None:
        try:
            await parts.finish(folder)
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(Retry("format_failed", f"{folder}: {type(error).__name__}")) from error

    async def _retain(self, parts: Parts) -> None:
        options = self._options
        if options.keep_for is not None or options.keep_size is not None:
            own = [found for found in await self._store.listed("") if parts.is_own(found.path)]
            await self._store.delete(outdated(own, self._clock.now(), options.keep_for, options.keep_size))

    def _wake_in(self, seconds: float, folder: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._start_rolling, folder)

    def _start_rolling(self, folder: str) -> None:
        if self._rolling is not None and not self._rolling.done():
            self._wake_in(BUSY_SECONDS, folder)
        elif not self._is_closed:
            work = self._roll_in_time(folder)
            self._rolling = asyncio.get_running_loop().create_task(work, name="record files")

    async def _roll_in_time(self, folder: str) -> None:
        """Make files of what is owed and of the set in `folder`; a fault also shows at the next delivery."""
        async with self._lock:
            if self._parts is None:
                return
            try:
                await self._roll(self._parts, self._open is not None and self._open.folder == folder)
            except StoreError:
                self._wake_in(AGAIN_SECONDS, folder)

    async def close(self) -> None:
        """Make files of what waits if the store is quick about it; else the next process with this name does."""
        if self._is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(TimeoutError, StoreError):
            async with asyncio.timeout(CLOSING_SECONDS), self._lock:
                if self._parts is not None:
                    await self._roll(self._parts, is_due=True)
        self._is_closed = True
        if self._rolling is not None:
            self._rolling.cancel()
            await asyncio.gather(self._rolling, return_exceptions=True)
        await self._store.close()


def line_of(parcel: Parcel) -> bytes:
    """The parcel as a line. Raises orjson's JSONEncodeError for data that JSON cannot say."""
    details = parcel.details()
    posted = parcel.wire or dumps(to_wire(parcel.data))
    known = Known(
        input_id=parcel.input_id,
        exchange_id=parcel.exchange_id,
        input_index=parcel.input_index,
        started_at=details.started_at,
        latency_seconds=details.latency_seconds,
        status=details.status,
        caller=parcel.caller,
        model=parcel.model,
        version=parcel.version,
        collector=parcel.collector,
        sample_exchanges=details.sample_exchanges,
        sample_inputs=details.sample_inputs,
        created_at=parcel.created_at,
    )
    return write_entry(known, parcel.given_wire, parcel.output_wire, None if posted == parcel.given_wire else posted)


def _groups(lines: Sequence[bytes]) -> list[bytes]:
    """Lines joined into parts of at most `MOST_BYTES`, save a line that is larger by itself."""
    groups: list[list[bytes]] = [[]]
    size = 0
    for line in lines:
        if groups[-1] and size + len(line) > MOST_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(line)
        size += len(line)
    return [b"".join(group) for group in groups]
