"""Collected rows on their way in: read, joined, bounded, counted, and answered whatever becomes of them."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows_end import RowsEnd, row_of, rows_end

from sidecar.capture.ingest_counts import open_counts, this_relay
from sidecar.capture.ingest_join import Joining, Pair
from sidecar.capture.ingest_record import Record, Role, UnreadableRowsError, read_batch, read_log
from sidecar.data import to_wire

NOW = 1_700_000_000.0
ID = bytes(16)


def record(role: Role = Role.INPUTS, correlation_id: str = "c", number: int = 0, model: str = "m") -> Record:
    place = {Role.INPUTS: "model_inputs", Role.PREDICTIONS: "model_outputs", Role.NEITHER: "other"}[role]
    headers = [("ce-type", f"azureml.inference.{place}"), ("ce-x-request-id", correlation_id)]
    return read_log(headers, b'[{"n":%d}]' % number, number.to_bytes(16, "big"), NOW, model)


class TestReading:
    def test_a_post_of_azures_client(self) -> None:
        headers = {
            "content-type": "application/json", "trace-id": "t", "ce-time": "1704067200",
            "ce-type": "azureml.inference.model_inputs", "ce-collect-data-type": "pandas.DataFrame",
            "ce-agent": "azureml-ai-monitoring/1.0.0", "ce-x-request-id": "c", "ce-model-version": "4",
            "ce-country": "DE",
        }  # fmt: skip
        read = read_log(headers.items(), b"[]", ID, NOW, "digits")
        assert (read.role, read.correlation_id, read.seconds) == (Role.INPUTS, "c", 1704067200.0)
        assert read.asked.key == ("anonymous", "digits", "4")
        assert read.asked.metadata == {
            "headers": {"x-request-id": "c"}, "query": {}, "path": "/modeldata/log", "caller": "anonymous",
            "model": "digits", "version": "4", "origin": "collect", "timestamp": 1704067200.0,
            "identifier": "model_inputs", "designation": "model_inputs", "correlation_id": "c", "request_id": "t",
            "collect_data_type": "pandas.DataFrame", "agent": "azureml-ai-monitoring/1.0.0",
            "context": {"country": "DE"},
        }  # fmt: skip

    def test_its_context_may_name_model_and_caller(self) -> None:
        headers = [("ce-model-name", "iris"), ("ce-webservice", "shop")]
        assert read_log(headers, b"[]", ID, NOW, "default").asked.key == ("shop", "iris", "")

    @pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-5", "1e99", "٣"])
    def test_a_time_that_is_none_is_now(self, text: str) -> None:
        assert read_log([("ce-time", text)], b"", ID, NOW, "m").seconds in (NOW, 3.0)

    def test_context_that_may_be_a_credential_does_not_pass(self) -> None:
        headers = [("ce-authorization", "Bearer x"), ("ce-api-key", "x"), ("ce-session", "x"), ("ce-ok", "fine")]
        assert read_log(headers, b"", ID, NOW, "m").asked.metadata["context"] == {"ok": "fine"}

    def test_bytes_that_are_no_utf_8_are_read_as_latin_1(self) -> None:
        value = "Zo\udceb"
        assert read_log([("ce-name", value)], b"", ID, NOW, "m").asked.metadata["context"] == {"name": "Zoë"}

    HEAD: dict[str, Any] = {  # noqa: RUF012 - never changed
        "id": "00" * 16, "time": NOW, "model": "m", "model_id": "i", "version": "unknown", "webservice": "unknown",
        "identifier": "inputs", "designation": "", "correlation_id": "", "request_id": "r",
    }  # fmt: skip

    def test_a_batch_of_our_library(self) -> None:
        body = b"\n".join((orjson.dumps(self.HEAD), b'{"rows":[]}', orjson.dumps(self.HEAD), b"other", b""))
        first, second = read_batch(body)
        assert (first.id, first.role, first.seconds) == (ID, Role.INPUTS, NOW)
        assert first.asked.key == ("anonymous", "m", "")
        assert (first.content, second.content) == (b'{"rows":[]}', b"other")

    @pytest.mark.parametrize(
        "change",
        [
            {"id": "00"},
            {"id": 7},
            {"id": "zz" * 16},
            {"time": "x"},
            {"model": None},
            {"correlation_id": 3},
            {"designation": []},
        ],
    )
    def test_a_batch_that_is_none(self, change: dict[str, Any]) -> None:
        with pytest.raises(UnreadableRowsError):
            read_batch(orjson.dumps({**self.HEAD, **change}) + b"\nx\n")

    @pytest.mark.parametrize("body", [b"x", b"{}\n{}", b"[]\n{}", b"a\nb\nc"])
    def test_lines_that_are_no_batch(self, body: bytes) -> None:
        with pytest.raises(UnreadableRowsError):
            read_batch(body)


class TestJoining:
    def test_either_half_may_come_first(self) -> None:
        inputs, predictions = record(), record(Role.PREDICTIONS)
        for first, second in ((inputs, predictions), (predictions, inputs)):
            joining = Joining(10**6, 5.0)
            assert joining.put(first, 0.0) == []
            assert joining.put(second, 4.0) == [Pair(inputs, predictions)]
            assert joining.next_due is None

    @pytest.mark.parametrize("other", [{"correlation_id": "d"}, {"model": "n"}])
    def test_only_what_belongs_together_is_joined(self, other: dict[str, Any]) -> None:
        joining = Joining(10**6, 5.0)
        assert joining.put(record(), 0.0) == joining.put(record(Role.PREDICTIONS, **other), 0.0) == []

    def test_of_several_with_one_id_the_oldest_goes_first(self) -> None:
        joining = Joining(10**6, 5.0)
        inputs = [record(number=number) for number in range(3)]
        for each in inputs:
            joining.put(each, 0.0)
        answers = [record(Role.PREDICTIONS, number=9 + number) for number in range(3)]
        joined = [pair for each in answers for pair in joining.put(each, 0.0)]
        assert joined == [Pair(*each) for each in zip(inputs, answers, strict=True)]

    def test_without_an_id_or_a_side_nothing_waits(self) -> None:
        joining = Joining(10**6, 5.0)
        for alone in (record(correlation_id=""), record(Role.NEITHER)):
            assert joining.put(alone, 0.0) == [Pair(alone)]
        assert len(joining) == 0

    def test_after_its_time_a_half_goes_alone(self) -> None:
        joining = Joining(10**6, 5.0)
        first, second = record(correlation_id="1"), record(Role.PREDICTIONS, "2")
        joining.put(first, 0.0)
        joining.put(second, 1.0)
        assert joining.next_due == 5.0
        assert joining.due(5.0) == [Pair(first)]
        assert joining.next_due == 6.0
        assert joining.all() == [Pair(second)]
        assert joining.put(record(Role.PREDICTIONS, "1"), 7.0) == []

    def test_what_waits_longest_makes_room(self) -> None:
        one = record(correlation_id="0").size_bytes
        joining = Joining(2 * one, 5.0)
        each = [record(correlation_id=str(number)) for number in range(4)]
        assert [joining.put(one, 0.0) for one in each] == [[], [], [Pair(each[0])], [Pair(each[1])]]

    @given(st.lists(st.tuples(st.sampled_from(list(Role)), st.sampled_from("ab"), st.floats(0, 3)), max_size=40))
    def test_every_record_goes_on_once_and_the_bound_holds(self, puts: list[tuple[Role, str, float]]) -> None:
        size = record().size_bytes
        joining = Joining(5 * size, 6.0)
        gone: list[Pair] = []
        now = 0.0
        for number, (role, correlation_id, seconds) in enumerate(puts):
            now += seconds
            gone += joining.due(now)
            gone += joining.put(record(role, correlation_id, number), now)
            assert len(joining) <= 5
        gone += joining.all()
        ids = [each.id for pair in gone for each in pair if each is not None]
        assert sorted(ids) == [number.to_bytes(16, "big") for number in range(len(puts))]
        assert all(pair.predictions is None or pair.inputs.key == pair.predictions.key for pair in gone)
        assert joining.next_due is None
        assert len(joining) == 0


def sums_hold(end: RowsEnd) -> bool:
    counts = end.ingest.counts
    lost = sum(count for name, count in counts.items() if name.startswith("lost."))
    return counts["seen"] == counts["open"] + counts.get("taken", 0) + counts.get("unwanted", 0) + lost


async def post(end: RowsEnd, body: bytes, path: str = "/modeldata/log", **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(end.url + path, data=io.BytesIO(body), headers=given) as answer,
    ):
        return answer.status


class TestCounts:
    def test_what_an_engine_of_the_same_relay_left_goes_on_and_what_was_open_is_lost(self, tmp_path: Path) -> None:
        counts = open_counts(tmp_path / "counts", this_relay())
        counts.see(10)
        counts.acknowledge("taken", 4)
        counts.acknowledge("lost.too_large")
        counts.acknowledge("lost.of a kind that nobody knows")
        assert counts.as_dict() == {"seen": 10, "taken": 4, "lost.too_large": 1, "lost.capture_failed": 1, "open": 4}
        counts = open_counts(tmp_path / "counts", this_relay())
        assert counts.as_dict()["lost.engine_away"] == 4
        assert (counts.as_dict()["seen"], counts.as_dict()["open"]) == (10, 0)

    @pytest.mark.parametrize("left", [b"", b"x", b"x" * 1000])
    def test_another_relay_begins_anew_whatever_it_finds(self, tmp_path: Path, left: bytes) -> None:
        (tmp_path / "counts").write_bytes(left)
        assert open_counts(tmp_path / "counts", this_relay()).as_dict() == {"seen": 0, "open": 0}
        open_counts(tmp_path / "counts", this_relay()).see()
        assert open_counts(tmp_path / "counts", bytes(16)).as_dict() == {"seen": 0, "open": 0}

    def test_without_a_disk_they_are_in_memory(self, tmp_path: Path) -> None:
        counts = open_counts(tmp_path / "not" / "there", this_relay())
        counts.see()
        assert counts.as_dict() == {"seen": 1, "open": 1}


class TestSite:
    async def test_halves_that_come_over_http_are_one_exchange(self) -> None:
        async with rows_end(join_seconds=60) as end:
            kind = "azureml.inference.model_"
            assert await post(end, b'[{"p":0.75}]', ce_type=kind + "outputs", ce_x_request_id="c", ce_time="105") == 200
            assert end.ingest.counts == {"seen": 1, "open": 1}
            assert await post(end, b'[{"a":1}]', ce_type=kind + "inputs", ce_x_request_id="c", ce_time="100") == 200
            ((captured, call),) = await end.calls(1)
            assert (row_of(to_wire(call.inputs[0])), call.output_error) == ({"a": 1}, "")
            assert captured.arrival.describe("v")["latency_ms"] == 5000
            output = call.outputs[0]
            assert output is not None
            assert [concept.value for concept in output.concepts] == [0.75]
            assert end.ingest.counts == {"seen": 1, "open": 0, "taken": 1}

    async def test_a_half_that_is_not_joined_goes_on_by_itself(self) -> None:
        async with rows_end(join_seconds=0.0) as end:
            await post(end, b'[{"a":1}]', ce_type="azureml.inference.model_inputs", ce_x_request_id="c")
            ((_, call),) = await end.calls(1)
            assert call.output_error == "no answer"

    async def test_a_compact_body_is_kept_raw(self) -> None:
        table = "   a  b\n0  1  é".encode()
        async with rows_end() as end:
            assert await post(end, table, content_type="application/octet-stream") == 200
            ((_, call),) = await end.calls(1)
            assert call.inputs[0].raw is not None
            assert (call.inputs[0].raw.content, call.inputs[0].raw.media_type) == (table, "application/octet-stream")

    @pytest.mark.parametrize(("limit", "is_kept"), [(2**25, True), (2**23, False)])
    async def test_thirty_megabytes_are_answered_and_kept_if_they_may_be(self, limit: int, is_kept: bool) -> None:
        large = b'[{"text":"' + b"x" * 30_000_000 + b'"}]'
        async with rows_end(body_bytes=limit, all_bytes=2**26) as end:
            assert await post(end, large) == 200
            assert await post(end, b'[{"a":1}]') == 200
            sizes = [len(captured.arrival.request) for captured, _ in await end.calls(1 + is_kept)]
            assert sizes == ([len(large), 9] if is_kept else [9])
            assert end.ingest.counts.get("lost.too_large", 0) == (not is_kept)
            assert sums_hold(end)

    async def test_what_does_not_fit_beside_others_is_lost_and_room_is_given_back(self) -> None:
        async with rows_end(all_bytes=1000) as end:
            for _ in range(3):
                assert await post(end, b" " * 1001) == 200
            assert end.ingest.counts == {"seen": 3, "open": 0, "lost.queue_full": 3}
            for _ in range(3):
                await post(end, b"[]" + b" " * 900)
            assert len(await end.calls(3)) == 3
            assert sums_hold(end)

    async def test_a_sender_that_leaves_in_the_middle_leaves_no_trace(self) -> None:
        async with rows_end(all_bytes=1000) as end:
            host, _, port = end.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /modeldata/log HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n" + b" " * 900)
            await writer.drain()
            writer.transport.abort()
            await post(end, b"[]" + b" " * 900)
            await end.calls(1)
            assert end.ingest.counts == {"seen": 1, "open": 0, "taken": 1}

    async def test_a_batch_that_cannot_be_read_is_refused_and_counted(self) -> None:
        async with rows_end() as end:
            assert await post(end, b"nonsense", "/modeldata/rows", x_records="7") == 400
            assert await post(end, b"x" * 2**21, "/modeldata/rows", x_records="3") == 200
            assert end.ingest.counts == {"seen": 10, "open": 0, "lost.unreadable": 7, "lost.too_large": 3}

    async def test_what_a_sender_dropped_is_counted_and_said(self) -> None:
        async with rows_end() as end:
            for dropped in ("5", "0", "", "-3", "many", "9" * 400):
                assert await post(end, b"", "/modeldata/rows", x_records_dropped=dropped) == 200
            assert end.events.counters.get("sidecar_rows_dropped_by_sender_total") == 5
            assert end.log.getvalue().count("collected rows were dropped") == 1

    async def test_a_full_queue_loses_and_counts(self) -> None:
        async with rows_end() as end:
            end.queue.close()
            assert await post(end, b"[]") == 200
            assert end.ingest.counts == {"seen": 1, "open": 0, "lost.queue_full": 1}

    async def test_other_paths_and_methods_are_none(self) -> None:
        async with rows_end() as end, aiohttp.ClientSession() as session:
            assert await post(end, b"", "/modeldata/other") == 404
            async with session.get(end.url + "/modeldata/log") as answer:
                assert answer.status == 405
            assert end.ingest.counts == {"seen": 0, "open": 0}
