"""What a model was asked and said, through the running sidecar to readers of KServe's events and to a table."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from support.event_sink import event_sink
from support.model_app import UNSURE, model_app
from support.product import Product, assert_sums_hold

KEPT = "source: {model: digits}, pre_queue_random_sample: 1"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_each_input_becomes_a_pair_of_events_and_a_row(tmp_path: Path) -> None:
    table = tmp_path / "kept.db"
    async with event_sink() as sink, model_app(lambda _: UNSURE) as model:
        sink.token = "the-token"
        (tmp_path / "token").write_text("the-token\n")
        product = Product(tmp_path, model.url)
        events = f"{{url: '{sink.url}', mode: kserve, token: {{file: '{tmp_path / 'token'}'}}}}"
        product.policy("events", f"collector: {{id: events, {KEPT}, destination: {{cloudevents: {events}}}}}")
        rows = f"{{url: 'sqlite:///{table}'}}"
        product.policy("rows", f"collector: {{id: rows, {KEPT}, destination: {{sql: {rows}}}}}")
        async with product:
            status, answer = await product.predict(
                [[1, 2], [3, 4]], traceparent=TRACEPARENT, **{"X-Caller-Id": "alice"}
            )
            ledger = await product.settled()
    assert (status, answer) == (200, {"predictions": [UNSURE, UNSURE]})
    assert_sums_hold(ledger)
    assert ledger["total"]["delivered"] == 4
    bodies = [(event.get_type().rpartition(".")[2], event.get_data()) for event in sink.events()]
    assert sorted(bodies, key=str) == sorted(
        [("request", {"instances": [[1, 2]]}), ("request", {"instances": [[3, 4]]})]
        + [("response", {"predictions": [UNSURE]})] * 2,
        key=str,
    )
    assert len({event.get_id() for event in sink.events()}) == 2
    assert {event.get_extension("traceparent") for event in sink.events()} == {TRACEPARENT}
    with closing(sqlite3.connect(table)) as connection:
        found = connection.execute(
            "SELECT caller, input_index, status, sampling_rate, traceparent, latency_seconds > 0,"
            " input -> '$.tensors[0].value', output -> '$.tensors[0].value' FROM inputs ORDER BY input_index"
        ).fetchall()
    said = "[0.4,0.35,0.25]"
    assert found == [
        ("alice", 0, 200, 1.0, TRACEPARENT, 1, "[1,2]", said),
        ("alice", 1, 200, 1.0, TRACEPARENT, 1, "[3,4]", said),
    ]
