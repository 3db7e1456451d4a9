"""Model calls over real sockets: every shape, every way to fail, within their bounds."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.clock import FakeClock
from support.model_fake import (
    BOX,
    CAPTION,
    EMBEDDING,
    ModelFake,
    Reply,
    garbage,
    model_fake,
    reset_at_once,
    reset_mid_answer,
    says,
    status,
)
from support.policies import node

from sidecar.collector import Workflow
from sidecar.data import Concept, Data, Embedding, Text
from sidecar.errors import ConfigurationError, PermanentError, TransientError
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.model_server import ModelServer, SecretFrom
from sidecar.pipeline.credentials import problems_of_secrets
from sidecar.pipeline.model_client import MAX_ANSWER_BYTES, ModelClient, new_session
from sidecar.pipeline.models import ModelServers, check_workflow
from sidecar.protocol.asked import AwayError, RefusedError
from sidecar.protocol.model_call import question_of, write_call
from sidecar.workflow.run import ModelRequest

TEXT = Data(text=Text("hello"), metadata={"caller": "alice"})
SECRET = "sk-0123456789abcdef"


def about(number: int, data: Data = TEXT, **params: Any) -> ModelRequest:
    return ModelRequest("m", data, params, number.to_bytes(16, "big"))


class Room(NamedTuple):
    """Model servers on a real session, the clock and the sleep in the test's hand, and the log as text."""

    fake: ModelFake
    models: ModelServers
    events: Events
    clock: FakeClock
    slept: list[float]
    log: io.StringIO

    def use(self, shape: str = "tensorflow", **fields: Any) -> None:
        self.models.replace([self.fake.server(shape, **fields)])

    def failures(self, reason: str) -> int:
        return self.events.counters.get("sidecar_model_failures_total", model="m", reason=reason)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    log = io.StringIO()
    clock, events, slept = FakeClock(), Events(logs.configure("debug", log)), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    async with model_fake() as fake, new_session() as session:
        models = ModelServers([fake.server()], session, events, clock, sleep)
        yield Room(fake, models, events, clock, slept, log)


@pytest.mark.parametrize(
    ("shape", "fields", "params", "expected"),
    [
        ("tensorflow", {"labels": ("cat", "dog")}, {}, {"concepts": (Concept("cat", 0.75), Concept("dog", 0.25))}),
        ("openinference", {"output": {"embeddings": "outputs[0].data"}}, {},
         {"embeddings": (Embedding(tuple(EMBEDDING)),)}),
        ("clarifai", {}, {}, {"concepts": (Concept("cat", 0.75, "cat"),)}),
        ("clarifai-workflow", {}, {}, {"text": Text(CAPTION), "concepts": (Concept("cat", 0.75, "cat"),)}),
        ("chat", {"name": "gpt"}, {"prompt": "Caption {{text}}."}, {"text": Text(CAPTION)}),
    ],
)  # fmt: skip
async def test_each_shape_is_asked_and_answers_on_the_data_model(
    room: Room, shape: str, fields: dict[str, Any], params: dict[str, Any], expected: dict[str, Any]
) -> None:
    room.use(shape, **fields)
    answer = await room.models.ask(about(1, **params))
    assert {name: getattr(answer, name) for name in expected} == expected
    (asked,) = room.fake.asked
    assert room.fake.url + asked.path == room.fake.paths[shape]
    assert b"alice" not in asked.content
    assert room.events.counters.get("sidecar_model_calls_total", model="m", outcome="answered") == 1


async def test_regions_come_with_their_boxes(room: Room) -> None:
    room.use("clarifai")
    (region,) = (await room.models.ask(about(1))).regions
    assert region.box == tuple(BOX.values())


@pytest.mark.parametrize(
    ("faults", "reason", "waits"),
    [
        ([status(500), status(500)], "failed", 2),
        ([status(503), reset_at_once], "unavailable", 2),
        ([reset_mid_answer], "connection_lost", 1),
        ([status(429)], "throttled", 1),
        ([status(429, Retry_After="2")], "throttled", 1),
    ],
)
async def test_a_passing_fault_is_tried_again_at_once(room: Room, faults: list[Reply], reason: str, waits: int) -> None:
    room.fake.plan(*faults)
    assert (await room.models.ask(about(1))).concepts
    assert len(room.fake.asked) == 1 + len(faults)
    assert len(room.slept) == waits
    assert room.failures(reason) >= 1


async def test_a_quick_try_waits_as_long_as_the_server_asks(room: Room) -> None:
    room.fake.plan(status(503, Retry_After="2"))
    await room.models.ask(about(1))
    assert room.slept[0] >= 2


async def test_before_the_queue_there_is_one_try(room: Room) -> None:
    room.fake.plan(status(503))
    with pytest.raises(TransientError, match="model 'm': the model answered 503: no"):
        await room.models.ask_once(about(1))
    assert len(room.fake.asked) == 1
    assert room.slept == []


async def test_tries_end_after_as_many_as_the_server_is_given(room: Room) -> None:
    room.use(tries=2)
    room.fake.plan(*[status(500)] * 9)
    with pytest.raises(AwayError):
        await room.models.ask(about(1))
    assert len(room.fake.asked) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(status(400), "refused"), (status(404), "refused"), (status(422), "refused"), (garbage, "unreadable"),
     (says({"wrong": "shape"}), "unreadable"), (says({"predictions": []}), "unreadable")],
)  # fmt: skip
async def test_an_answer_about_the_input_is_for_good(room: Room, fault: Reply, reason: str) -> None:
    room.fake.plan(fault)
    for _ in range(2):
        with pytest.raises(RefusedError, match="model 'm': the model") as caught:
            await room.models.ask(about(1))
        assert caught.value.reason == reason
    assert len(room.fake.asked) == 1
    assert room.failures(reason) == 1


async def test_what_the_shape_cannot_carry_is_refused_without_a_call(room: Room) -> None:
    with pytest.raises(PermanentError, match="this input has none"):
        await room.models.ask(about(1, Data()))
    assert room.fake.asked == []


async def test_an_answer_without_end_is_cut(room: Room) -> None:
    room.fake.plan(says("x" * MAX_ANSWER_BYTES))
    with pytest.raises(RefusedError, match="more than 33554432 bytes"):
        await room.models.ask(about(1))


async def test_a_model_that_is_away_is_transient_and_named(room: Room) -> None:
    await room.fake.away()
    with pytest.raises(
        TransientError, match=r"model 'm': at http://127.0.0.1:.*/v1/models/second:predict: Cannot"
    ) as e:
        await room.models.ask_once(about(1))
    assert vars(e.value)["reason"] == "unreachable"


async def test_a_model_that_hangs_is_left_after_its_time(room: Room) -> None:
    room.use(timeout_seconds=0.05)
    room.fake.plan(room.fake.hold, room.fake.hold)
    with pytest.raises(AwayError, match=r"no whole answer within 0.05 s"):
        await room.models.ask(about(1))
    assert len(room.fake.asked) == 1, "a model that is slow already is not asked again at once"


async def test_a_redirect_is_not_followed(room: Room) -> None:
    room.fake.plan(status(307, Location="/elsewhere"))
    with pytest.raises(RefusedError, match="answered 307"):
        await room.models.ask(about(1))
    assert len(room.fake.asked) == 1


async def test_no_more_calls_are_under_way_than_the_server_may_have(room: Room) -> None:
    room.use(concurrency=2)
    room.fake.plan(*[room.fake.hold] * 6)
    calls = [asyncio.create_task(room.models.ask(about(number))) for number in range(6)]
    await room.fake.until_waiting(2)
    room.fake.released.set()
    assert all(answer.concepts for answer in await asyncio.gather(*calls))
    assert room.fake.most_waiting == 2


async def test_the_wait_for_a_free_call_is_bounded(room: Room) -> None:
    server = room.fake.server(concurrency=1)
    question = question_of(server, TEXT, {})
    written = write_call(server, question)
    async with new_session() as session:
        client = ModelClient(server, session, room.events, room.clock)
        room.fake.plan(room.fake.hold)
        first = asyncio.create_task(client.ask(question, written, 1, None))
        await room.fake.until_waiting(1)
        with pytest.raises(AwayError, match="model 'm': 1 calls are under way already") as caught:
            await client.ask(question, written, 1, 0.01)
        assert caught.value.reason == "busy"
        room.fake.released.set()
        assert isinstance((await first).answer, Data)


async def test_a_breaker_opens_after_failures_in_a_row_and_closes_with_the_first_answer(room: Room) -> None:
    room.use(breaker_failures=3, breaker_seconds=10.0, tries=1)
    room.fake.plan(*[status(503)] * 3)
    for number in range(3):
        with pytest.raises(AwayError):
            await room.models.ask(about(number))
    assert room.models.open_breakers == {"m": True}
    with pytest.raises(AwayError, match=r"model 'm' is left alone for 10.0 s") as caught:
        await room.models.ask(about(4))
    assert (caught.value.reason, caught.value.retry_after_seconds) == ("breaker_open", 10.0)
    assert len(room.fake.asked) == 3
    room.clock.advance(10)
    assert (await room.models.ask(about(4))).concepts
    assert room.models.open_breakers == {"m": False}
    assert room.events.counters.get("sidecar_model_breaker_openings_total", model="m") == 1
    assert "model is left alone, it failed too often" in room.log.getvalue()
    assert "model is asked again, it answers" in room.log.getvalue()


async def test_one_probe_goes_alone(room: Room) -> None:
    room.use(breaker_failures=1, breaker_seconds=10.0, tries=1)
    room.fake.plan(status(503), room.fake.hold)
    with pytest.raises(AwayError):
        await room.models.ask(about(0))
    room.clock.advance(10)
    probe = asyncio.create_task(room.models.ask(about(1)))
    await room.fake.until_waiting(1)
    with pytest.raises(AwayError, match="left alone"):
        await room.models.ask(about(2))
    probe.cancel()
    await asyncio.wait([probe])
    assert (await room.models.ask(about(3))).concepts, "a probe that was cut off leaves its place to the next"


@pytest.mark.parametrize("fault", [status(500), status(401), status(429)])
async def test_what_says_nothing_of_the_model_opens_no_breaker(room: Room, fault: Reply) -> None:
    room.use(breaker_failures=1, tries=1)
    room.fake.plan(fault)
    with pytest.raises(AwayError):
        await room.models.ask(about(1))
    assert (await room.models.ask(about(2))).concepts


async def test_retry_after_keeps_everybody_away_until_then(room: Room) -> None:
    room.fake.plan(status(429, Retry_After="30"))
    with pytest.raises(AwayError) as caught:
        await room.models.ask(about(1))
    assert caught.value.retry_after_seconds == 30
    room.clock.advance(10)
    with pytest.raises(AwayError) as caught:
        await room.models.ask(about(2))
    assert caught.value.retry_after_seconds == 20
    room.clock.advance(20)
    assert (await room.models.ask(about(2))).concepts
    assert len(room.fake.asked) == 2


async def test_one_input_asks_the_same_model_once_whoever_asks(room: Room) -> None:
    room.use("chat")
    room.fake.plan(room.fake.hold)
    asks = (room.models.ask, room.models.ask_once)
    calls = [asyncio.create_task(ask(about(1, prompt="Caption {{text}}."))) for ask in asks]
    await room.fake.until_waiting(1)
    room.fake.released.set()
    first, second = await asyncio.gather(*calls)
    assert first == second == await room.models.ask(about(1, prompt="Caption {{text}}."))
    assert len(room.fake.asked) == 1
    await room.models.ask(about(2, prompt="Caption {{text}}."))
    await room.models.ask(about(1, prompt="Translate {{text}}."))
    await room.models.ask(ModelRequest("m", TEXT, {"prompt": "Caption {{text}}."}, (1).to_bytes(16, "big"), 1))
    assert len(room.fake.asked) == 4, (
        "another input, another prompt and another item of the batch are questions of their own"
    )


async def test_a_server_that_changed_is_asked_anew(room: Room) -> None:
    await room.models.ask(about(1))
    room.use(labels=("cat", "dog"))
    assert (await room.models.ask(about(1))).concepts[0].id == "cat"


async def test_a_server_that_is_gone_or_wants_other_params_makes_the_job_wait(room: Room) -> None:
    with pytest.raises(TransientError, match="'third' is no longer in --models or among the policies"):
        await room.models.ask(ModelRequest("third", Data()))
    with pytest.raises(TransientError, match="no longer takes the node's params"):
        await room.models.ask(about(1, prompt="x"))


async def test_keys_and_headers_go_along_and_nowhere_else(
    room: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_KEY", SECRET)
    file = tmp_path / "token"
    file.write_text("token-0123456789\n")
    headers = (("X-Team", "vision"), ("X-Token", SecretFrom(file=str(file))))
    for shape, scheme in (("tensorflow", "Bearer"), ("clarifai", "Key")):
        room.use(shape, key=SecretFrom("MODEL_KEY"), headers=headers)
        await room.models.ask(about(1))
        sent = room.fake.asked[-1].headers
        assert sent["Authorization"] == f"{scheme} {SECRET}"
        assert (sent["X-Team"], sent["X-Token"]) == ("vision", "token-0123456789")
    file.write_text("rotated-0123456789\n")
    await room.models.ask(about(2))
    assert room.fake.asked[-1].headers["X-Token"] == "rotated-0123456789"
    room.fake.plan(status(400, f"Incorrect API key {SECRET}"))
    with pytest.raises(RefusedError, match=r"Incorrect API key \*\*\*"):
        await room.models.ask(about(3))
    assert SECRET not in room.log.getvalue()
    assert SECRET not in repr(room.models.__dict__)


async def test_a_missing_secret_makes_the_job_wait_and_is_named(room: Room, tmp_path: Path) -> None:
    missing = ModelServer(
        "m",
        room.fake.paths["chat"],
        key=SecretFrom("NOWHERE"),
        headers=(("X-Token", SecretFrom(file=str(tmp_path / "gone"))),),
        origin="m.yaml",
    )
    room.models.replace([missing])
    with pytest.raises(AwayError, match=r"file .*/gone cannot be read: No such file") as caught:
        await room.models.ask(about(1, prompt="x {{text}}"))
    assert caught.value.reason == "key_missing"
    assert room.fake.asked == []
    assert [(problem.field, problem.file) for problem in problems_of_secrets([missing])] == [
        ("model.key", "m.yaml"),
        ("model.headers.X-Token", "m.yaml"),
    ]


async def test_a_secret_that_no_header_can_carry_is_not_shown(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_KEY", "geheim\nX-Evil: 1")
    room.use(key=SecretFrom("MODEL_KEY"))
    with pytest.raises(AwayError, match="environment variable MODEL_KEY holds characters") as caught:
        await room.models.ask(about(1))
    assert "geheim" not in str(caught.value)


async def test_a_query_is_shown_nowhere(room: Room) -> None:
    url = f"{room.fake.url}/v1/models/second:predict?key={SECRET}"
    room.models.replace([ModelServer("m", url)])
    room.fake.plan(reset_at_once)
    with pytest.raises(AwayError) as caught:
        await room.models.ask_once(about(1))
    assert SECRET not in str(caught.value) + room.log.getvalue()


async def test_a_setting_that_is_no_predict_call_is_refused() -> None:
    async with new_session() as session:
        with pytest.raises(ConfigurationError, match="--models: http://h:1/ is no predict call"):
            ModelServers([ModelServer("a", "http://h:1/")], session, Events(logs.configure()))


def test_a_workflows_faults_and_those_of_its_params_are_found_together() -> None:
    servers = [ModelServer("m", "http://h/v1/chat/completions")]
    workflow = Workflow("w", (node("m", params={"prompt": 3}), node("n", "o"), node("m2", type_id="random-sample")))
    with pytest.raises(ConfigurationError) as caught:
        check_workflow(workflow, servers)
    fields = [problem.field for problem in caught.value.problems]
    assert "nodes[0].model.output_info.params.prompt" in fields
    assert "nodes[1].node_inputs[0].node_id" in fields
    assert "nodes[1].model.model_id" in fields
    check_workflow(Workflow("w", (node("m", params={"prompt": "{{tensors}}?"}),)), servers)
