"""Model calls over real sockets: answered, away, refusing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import structlog
from aiohttp import web
from support.model_app import SURE, ModelApp, model_app

from sidecar.data import Concept, Data, Tensor
from sidecar.delivery.registry import new_session
from sidecar.errors import ConfigurationError, PermanentError, TransientError
from sidecar.events import Events
from sidecar.pipeline.models import ModelServers, route_of
from sidecar.settings import ModelServer
from sidecar.workflow.run import ModelRequest

ASKED = ModelRequest("second", Data(tensors=(Tensor([1, 2]),), metadata={"caller": "alice"}))


@pytest.fixture
async def app() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _instance: SURE) as running:
        yield running


@pytest.fixture
async def servers(app: ModelApp) -> AsyncIterator[ModelServers]:
    server = ModelServer("second", f"{app.url}/v1/models/second:predict")
    async with new_session() as session:
        yield ModelServers([server], session, Events(structlog.get_logger()))


async def test_the_answer_is_on_the_data_model_and_the_model_sees_the_input_alone(
    app: ModelApp, servers: ModelServers
) -> None:
    answer = await servers.ask(ASKED)
    assert answer.concepts == (Concept("0", 0.9), Concept("1", 0.05), Concept("2", 0.05))
    assert app.asked == [[[1, 2]]]


async def test_a_model_that_is_away_is_transient_and_named(app: ModelApp, servers: ModelServers) -> None:
    await app.stop()
    with pytest.raises(TransientError, match="model 'second' at http"):
        await servers.ask_once(ASKED)


async def test_a_model_that_refuses_is_permanent(servers: ModelServers, app: ModelApp) -> None:
    def refuse(_instance: object) -> list[float]:
        raise web.HTTPBadRequest(text="no such shape")

    app.answer = refuse
    with pytest.raises(PermanentError, match="400: no such shape"):
        await servers.ask_once(ASKED)


async def test_a_model_that_breaks_is_asked_again(app: ModelApp, servers: ModelServers) -> None:
    failures = [1, 1]

    def answer(_instance: object) -> list[float]:
        if failures:
            raise ZeroDivisionError(failures.pop())
        return [0.9, 0.1]

    app.answer = answer
    assert (await servers.ask(ASKED)).concepts[0].value == 0.9
    assert len(app.asked) == 3


async def test_a_model_that_settings_no_longer_name_is_transient(servers: ModelServers) -> None:
    with pytest.raises(TransientError, match="--models"):
        await servers.ask(ModelRequest("third", Data()))


def test_an_address_that_is_no_predict_call_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no predict call"):
        route_of(ModelServer("a", "http://h:1/"))
