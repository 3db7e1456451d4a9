"""The embedded app and the registry of destinations."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import sqlalchemy
from support.clock import FakeClock

from sidecar.collector import Destination
from sidecar.data import Data, Text
from sidecar.delivery.clarifai import ClarifaiApp
from sidecar.delivery.destination import Parcel, Way
from sidecar.delivery.embedded import EmbeddedApp, EmbeddedOptions
from sidecar.delivery.outcome import Delivered, Retry
from sidecar.delivery.registry import DESTINATIONS, Parts, check_options, new_session, open_destination
from sidecar.errors import ConfigurationError
from sidecar.store.database import Database, sqlite_url
from sidecar.store.inputs import get_input, list_inputs

REFERENCE = "key-" + "ab" * 12


def parcel(input_id: str) -> Parcel:
    return Parcel(input_id, Data(text=Text("t")), "watch", "alice", "digits", "1", "local", "main", ("d",), 5.0)


async def no_secret(_reference: str) -> str | None:
    return None


async def test_parcels_become_inputs_of_their_collectors_app(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        app = EmbeddedApp(EmbeddedOptions(dataset_ids=("week", "d")), database)
        assert await app.deliver([parcel("a"), parcel("b")]) == [Delivered(), Delivered()]
        assert await app.deliver([parcel("b"), parcel("c")]) == [Delivered(), Delivered()]
        assert len(await database.read(lambda c: list_inputs(c, "local", "main"))) == 3
        stored = await database.read(lambda c: get_input(c, "local", "main", "a"))
    assert stored is not None
    assert (stored.collector, stored.caller, stored.model, stored.version) == ("watch", "alice", "digits", "1")
    assert (stored.data, stored.dataset_ids, stored.created_at) == (Data(text=Text("t")), ("d", "week"), 5.0)


async def test_with_an_input_of_a_collector_stands_how_it_came_there(tmp_path: Path) -> None:
    way = Way(7, "app", 1.0, 9.0, 3, 1, '{"workflow":"w","nodes":[]}', '[0,[1,2.0,"http_503","away"]]')
    made = parcel("a")._replace(exchange_id="e", input_index=2, details_wire='{"status":200}', way=way)
    async with Database(sqlite_url(tmp_path)) as database:
        await EmbeddedApp(EmbeddedOptions(), database).deliver([made, parcel("b")])
        stored = await database.read(lambda c: get_input(c, "local", "main", "a"))
        other = await database.read(lambda c: get_input(c, "local", "main", "b"))
    assert stored is not None
    assert orjson.loads(stored.story) == {
        "job_id": 7, "exchange_id": "e", "input_index": 2, "details": {"status": 200},
        "trace": {"workflow": "w", "nodes": []}, "destination": "app", "siblings": 1, "queued_at": 1.0,
        "delivered_at": 9.0, "attempt": 3, "tries": way.tries_wire,
    }  # fmt: skip
    assert other is not None
    assert other.story == ""


async def test_a_broken_database_means_another_try(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        await database.write(lambda c: c.execute(sqlalchemy.text("DROP TABLE input")))
        (outcome,) = await EmbeddedApp(EmbeddedOptions(), database).deliver([parcel("a")])
    assert outcome == Retry("store_failed", "the database failed: OperationalError")


def problems(kind: str, **options: object) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        check_options(Destination(kind, options))
    return {problem.field: problem.message for problem in caught.value.problems}


def test_every_fault_of_the_options_is_named_at_once() -> None:
    found = problems("clarifai", base_url="ftp://x", app_id="kept", timeout_seconds=0, api_key="s3cret")
    assert set(found) == {
        f"destination.clarifai.{name}" for name in ("base_url", "user_id", "timeout_seconds", "api_key")
    }  # fmt: skip
    assert "key_id" in found["destination.clarifai.api_key"]
    assert found["destination.clarifai.user_id"] == "is missing"
    assert "s3cret" not in str(found)


def test_a_key_in_clear_is_refused_and_not_repeated() -> None:
    found = problems("clarifai", user_id="me", app_id="kept", key_id="s3cret")
    assert "post_inputs_key_id" in found["destination.clarifai.key_id"]
    assert "s3cret" not in str(found)
    check_options(Destination("clarifai", {"user_id": "me", "app_id": "kept", "key_id": REFERENCE}))


def test_a_password_in_the_address_is_refused() -> None:
    found = problems("clarifai", user_id="me", app_id="kept", base_url="http://me:s3cret@host")
    assert "s3cret" not in str(found)
    assert "key_id" in found["destination.clarifai.base_url"]


@pytest.mark.parametrize("value", ["30", True])
def test_a_time_limit_is_a_number(value: object) -> None:
    found = problems("clarifai", user_id="me", app_id="kept", timeout_seconds=value)
    assert found == {"destination.clarifai.timeout_seconds": "must be a number"}


@pytest.mark.parametrize("name", ["a b", "a/b", "-"])
def test_an_app_that_no_request_could_name_is_refused(name: str) -> None:
    assert "is not an id" in problems("app", app_id=name)["destination.app.app_id"]


def test_an_unknown_kind_names_the_known_ones() -> None:
    assert problems("s3") == {"destination": f"there is no kind 's3': write one of {', '.join(DESTINATIONS)}"}


async def test_the_collectors_key_is_used_when_the_options_name_none(tmp_path: Path) -> None:
    asked = []

    async def secret_of(reference: str) -> str | None:
        asked.append(reference)
        return None

    async with Database(sqlite_url(tmp_path)) as database, new_session() as session:
        parts = Parts(database, session, secret_of, FakeClock())
        options = {"user_id": "me", "app_id": "kept"}
        for value in (Destination("clarifai", options), Destination("clarifai", options | {"key_id": REFERENCE})):
            opened = open_destination(value, parts, "key-of-the-collector")
            assert isinstance(opened, ClarifaiApp)
            await opened.deliver([parcel("a")])
            await opened.close()
        assert isinstance(open_destination(Destination(), parts), EmbeddedApp)
    assert asked == ["key-of-the-collector", REFERENCE]


async def test_the_session_takes_nothing_from_the_environment() -> None:
    async with new_session() as session:
        assert not session.trust_env
        assert session.cookie_jar.__class__.__name__ == "DummyCookieJar"
