"""What brokers must do beside what every destination must: tell what is wrong, fill a message, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from confluent_kafka import KafkaError
from contract.end import REFERENCE, End
from contract.kafka_end import KafkaEnd
from contract.nats_end import PASSWORD, STREAM, NatsEnd
from contract.parcels import parcel
from contract.rabbitmq_end import PORT, RabbitMQEnd
from support.certificates import Authority
from support.clock import FakeClock
from support.kafka_cluster import header_of
from support.kafka_gate import AUTHENTICATE, HANDSHAKE, kafka_gate
from support.line import line_to
from support.nats_server import nats_server

from sidecar import collector
from sidecar.data import Data, Text
from sidecar.delivery.destination import Destination
from sidecar.delivery.message import body_of
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.registry import Parts, check_options, new_session, open_destination
from sidecar.errors import ConfigurationError
from sidecar.store.database import Database, sqlite_url

EndT = TypeVar("EndT", bound=End)
Open = Callable[..., Destination]
BATCH = (parcel("a"), parcel("b"))
ALL_DELIVERED = [Delivered()] * 2


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class Before:
    """A far side with destinations before it."""

    def __init__(self, end: End, parts: Parts) -> None:
        self.end = end
        self.parts = parts
        self.opened: list[Destination] = []

    def open(self, **more: object) -> Destination:
        options = {**self.end.options(), **more}
        destination = open_destination(collector.Destination(self.end.kind, options), self.parts)
        self.opened.append(destination)
        return destination


@contextlib.asynccontextmanager
async def before(end_type: type[EndT], tmp_path: Path) -> AsyncIterator[tuple[EndT, Open]]:
    async with Database(sqlite_url(tmp_path)) as database, new_session() as session:
        (tmp_path / "end").mkdir()
        end = end_type(tmp_path / "end", database)

        async def secret_of(reference: str) -> str | None:
            return end.secret if reference == REFERENCE else None

        await end.start()
        room = Before(end, Parts(database, session, secret_of, FakeClock()))
        try:
            yield end, room.open
        finally:
            for destination in room.opened:
                await destination.close()
            await end.stop()


def reasons(outcomes: list[Outcome]) -> set[tuple[type[Outcome], str]]:
    return {(type(each), "" if isinstance(each, Delivered) else each.reason) for each in outcomes}


async def test_kafka_keeps_one_callers_calls_in_order(tmp_path: Path) -> None:
    sent = [parcel(str(number))._replace(caller=("alice", "bob")[number % 2]) for number in range(40)]
    async with before(KafkaEnd, tmp_path) as (end, open_one):
        assert await open_one().deliver(sent) == [Delivered()] * 40
        messages = await asyncio.to_thread(end.cluster.messages)
    for caller in ("alice", "bob"):
        of_caller = [each for each in messages if each.key() == f"{caller}/digits".encode()]
        assert len({each.partition() for each in of_caller}) == 1
        assert [each.value() for each in of_caller] == [body_of(each) for each in sent if each.caller == caller]
    assert {header_of(each, "content-type") for each in messages} == {"application/json"}


async def test_kafka_that_stays_away_is_told_at_once_each_time(tmp_path: Path) -> None:
    async with before(KafkaEnd, tmp_path) as (end, open_one):
        destination = open_one()
        assert await destination.deliver(BATCH) == ALL_DELIVERED
        end.cluster.go()
        for _ in range(2):
            async with asyncio.timeout(5):  # of the 30 that it may take
                assert reasons(await destination.deliver(BATCH)) == {(Retry, "unreachable")}
        end.cluster.come_back()
        assert await destination.deliver(BATCH) == ALL_DELIVERED


async def test_kafka_without_the_topic_is_asked_again(tmp_path: Path) -> None:
    async with before(KafkaEnd, tmp_path) as (end, open_one):
        end.cluster.refuse_topic(KafkaError.UNKNOWN_TOPIC_OR_PART)
        assert reasons(await open_one(timeout_seconds=3.0).deliver(BATCH)) == {(Retry, "unknown_topic")}


@pytest.mark.parametrize("request_kind", [HANDSHAKE, AUTHENTICATE])
async def test_kafka_that_leaves_while_it_is_shown_the_password_has_refused_nothing(
    request_kind: int, tmp_path: Path
) -> None:
    async with before(KafkaEnd, tmp_path) as (end, open_one), kafka_gate(leaves_at=request_kind) as address:
        end.secret = PASSWORD
        destination = open_one(brokers=[address], user="me", password=REFERENCE, timeout_seconds=5.0)
        assert reasons(await destination.deliver(BATCH)) == {(Retry, "unreachable")}


async def test_kafka_reads_certificates_from_files(tmp_path: Path) -> None:
    async with before(KafkaEnd, tmp_path) as (_, open_one):
        destination = open_one(tls=True, ca_file=str(tmp_path / "none.pem"))
        assert reasons(await destination.deliver(BATCH)) == {(Retry, "certificate_unreadable")}


async def test_closing_kafka_ends_what_hangs_and_its_threads(tmp_path: Path) -> None:
    async with before(KafkaEnd, tmp_path) as (end, open_one):
        end.cluster.answer_after(60)
        others = client_threads()
        async with line_to(int(end.cluster.address.rpartition(":")[2])) as line:
            destination = open_one(brokers=[f"127.0.0.1:{line.port}"])
            delivering = asyncio.create_task(destination.deliver(BATCH))
            await line.connected()
            async with asyncio.timeout(5):
                await destination.close()
                assert reasons(await delivering) == {(Retry, "closed")}
        assert not any(thread.name.startswith("kafka") for thread in threading.enumerate())
        assert client_threads() == others


def client_threads() -> list[str]:
    """Those of librdkafka, which Python does not know: the mock cluster's own, and those of producers."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return sorted(name for name in names if name.startswith("rdk:"))


async def test_a_message_of_nats_carries_its_id_and_its_subject(tmp_path: Path) -> None:
    async with before(NatsEnd, tmp_path) as (end, open_one):
        sent = parcel("a")._replace(caller="a.b *")
        assert await open_one(stream=STREAM).deliver([sent]) == [Delivered()]
        stored = await end.streams.get_msg(STREAM, 1)
    assert (stored.subject, stored.data) == ("kept.a%2Eb%20%2A.digits", body_of(sent))
    assert stored.headers == {
        "Nats-Msg-Id": sent.input_id,
        "Content-Type": "application/json",
        "Nats-Expected-Stream": STREAM,
    }


async def test_what_is_wrong_with_nats_has_a_name(tmp_path: Path) -> None:
    async with before(NatsEnd, tmp_path) as (_, open_one):
        assert reasons(await open_one(user="reader").deliver(BATCH)) == {(Rejected, "forbidden")}
        assert reasons(await open_one(stream="ANOTHER").deliver(BATCH)) == {(Rejected, "refused")}
        assert reasons(await open_one(subject="elsewhere.{caller}").deliver(BATCH)) == {(Retry, "no_stream")}
        assert reasons(await open_one(servers=["nats://127.0.0.1:1"]).deliver(BATCH)) == {(Retry, "unreachable")}


async def test_nats_takes_nothing_above_its_payload(tmp_path: Path) -> None:
    async with before(NatsEnd, tmp_path) as (_, open_one):
        large = parcel("large", Data(text=Text("x" * (1 << 20))))
        outcomes = await open_one().deliver([parcel("a"), large])
    assert [type(each) for each in outcomes] == [Delivered, Rejected]
    assert reasons(outcomes[1:]) == {(Rejected, "too_large")}


async def test_nats_that_was_killed_and_started_again_knows_repeats(tmp_path: Path) -> None:
    async with before(NatsEnd, tmp_path) as (end, open_one):
        destination = open_one()
        assert await destination.deliver(BATCH[:1]) == [Delivered()]
        await end.server.stop()
        assert {kind for kind, _ in reasons(await destination.deliver(BATCH))} == {Retry}
        await end.server.start()
        assert await destination.deliver(BATCH) == ALL_DELIVERED
        assert len((await end.streams.get_msg(STREAM, 2)).headers or {}) == 2
        assert (await end.streams.stream_info(STREAM)).state.messages == 2


async def test_nats_over_tls(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair = authority.sign("server", "127.0.0.1")
    tls = f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}'
    (tmp_path / "tls").mkdir()
    async with before(NatsEnd, tmp_path) as (end, open_one), nats_server(tmp_path / "tls", tls) as server:
        servers = [f"tls://127.0.0.1:{server.port}"]
        trusting = open_one(servers=servers, ca_file=str(authority.path))
        assert reasons(await trusting.deliver(BATCH)) == {(Retry, "no_stream")}
        others = open_one(servers=servers, ca_file=str(other.path))
        assert reasons(await others.deliver(BATCH)) == {(Retry, "tls_failed")}
        missing = open_one(servers=servers, ca_file=str(tmp_path / "none.pem"))
        assert reasons(await missing.deliver(BATCH)) == {(Retry, "certificate_unreadable")}
        stripped = open_one(servers=[f"tls://127.0.0.1:{end.line.port}"])
        assert reasons(await stripped.deliver(BATCH)) == {(Retry, "tls_failed")}
        assert PASSWORD.encode() not in end.line.said


async def test_a_message_of_rabbitmq_is_persistent_and_carries_its_id(tmp_path: Path) -> None:
    async with before(RabbitMQEnd, tmp_path) as (end, open_one):
        sent = parcel("a")._replace(caller="a.b#")
        assert await open_one().deliver([sent]) == [Delivered()]
        message = await end.next_message()
    properties = message.header.properties
    assert (message.routing_key, message.body) == ("kept.a%2Eb%23.digits", body_of(sent))
    assert (properties.message_id, properties.headers) == (sent.input_id, {"input-id": sent.input_id})
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")


async def test_what_is_wrong_with_rabbitmq_has_a_name(tmp_path: Path) -> None:
    async with before(RabbitMQEnd, tmp_path) as (_, open_one):
        assert reasons(await open_one(routing_key="elsewhere").deliver(BATCH)) == {(Retry, "unroutable")}
        assert reasons(await open_one(exchange="no-such").deliver(BATCH)) == {(Retry, "unknown_exchange")}
        assert reasons(await open_one(url="amqp://127.0.0.1:1/").deliver(BATCH)) == {(Retry, "unreachable")}
        elsewhere = open_one(url=f"amqp://127.0.0.1:{PORT}/no-such")
        assert reasons(await elsewhere.deliver(BATCH)) == {(Retry, "no_virtual_host")}


async def test_rabbitmq_over_tls(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    context = authority.server(authority.sign("server", "127.0.0.1"))
    async with before(RabbitMQEnd, tmp_path) as (end, open_one), line_to(PORT, context) as line:
        url = f"amqps://127.0.0.1:{line.port}/"
        assert await open_one(url=url, ca_file=str(authority.path)).deliver(BATCH) == ALL_DELIVERED
        assert reasons(await open_one(url=url, ca_file=str(other.path)).deliver(BATCH)) == {(Retry, "tls_failed")}
        plain = open_one(url=f"amqps://127.0.0.1:{end.line.port}/")
        assert {kind for kind, _ in reasons(await plain.deliver(BATCH))} == {Retry}


lined = pytest.mark.parametrize("end_type", [NatsEnd, RabbitMQEnd])


@lined
async def test_one_connection_is_kept_and_a_rotated_secret_makes_another(
    end_type: type[NatsEnd | RabbitMQEnd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with before(end_type, tmp_path) as (end, open_one):
        destination = open_one(password={"env": "THE_PASSWORD"})
        monkeypatch.setenv("THE_PASSWORD", end.secret)
        assert await destination.deliver(BATCH) == ALL_DELIVERED
        assert await destination.deliver(BATCH) == ALL_DELIVERED
        assert end.line.connections == 1
        monkeypatch.setenv("THE_PASSWORD", "another")
        assert reasons(await destination.deliver(BATCH)) == {(Rejected, "forbidden")}
        monkeypatch.setenv("THE_PASSWORD", end.secret)
        assert await destination.deliver(BATCH) == ALL_DELIVERED
        assert end.line.connections == 3


@lined
async def test_closing_leaves_no_connection_and_no_task(end_type: type[NatsEnd | RabbitMQEnd], tmp_path: Path) -> None:
    async with before(end_type, tmp_path) as (end, open_one):
        others = asyncio.all_tasks()
        destination = open_one()
        assert await destination.deliver(BATCH) == ALL_DELIVERED
        await destination.close()
        await destination.close()
        await end.line.left()
        assert asyncio.all_tasks() - others == set()


@lined
async def test_a_broker_that_hangs_while_it_is_closed_is_cut(
    end_type: type[NatsEnd | RabbitMQEnd], tmp_path: Path
) -> None:
    async with before(end_type, tmp_path) as (end, open_one):
        others = asyncio.all_tasks()
        destination = open_one()
        assert await destination.deliver(BATCH[:1]) == [Delivered()]
        end.line.mute()
        said = len(end.line.said)
        delivering = asyncio.create_task(destination.deliver(BATCH[1:]))
        await end.line.heard(said + 1)
        async with asyncio.timeout(5):  # of the 30 that it may take
            await destination.close()
            assert reasons(await delivering) == {(Retry, "connection_lost")}
        end.line.unmute()
        await end.line.left()
        assert asyncio.all_tasks() - others == set()


@lined
async def test_a_delivery_that_is_cancelled_leaves_nothing_under_way(
    end_type: type[NatsEnd | RabbitMQEnd], tmp_path: Path
) -> None:
    async with before(end_type, tmp_path) as (end, open_one):
        end.line.mute()
        others = asyncio.all_tasks()
        destination = open_one()
        delivering = asyncio.create_task(destination.deliver(BATCH))
        await end.line.connected()
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        end.line.unmute()
        await end.line.left()
        assert asyncio.all_tasks() - others == set()
        assert await destination.deliver(BATCH) == ALL_DELIVERED


@lined
async def test_what_talks_another_protocol_is_no_broker(end_type: type[NatsEnd | RabbitMQEnd], tmp_path: Path) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    where = {"url": f"amqp://{address}/"} if end_type is RabbitMQEnd else {"servers": [f"nats://{address}"]}
    async with server, before(end_type, tmp_path) as (_, open_one):
        assert reasons(await open_one(**where).deliver(BATCH)) == {(Retry, "unreachable")}


def problems(kind: str, **options: object) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        check_options(collector.Destination(kind, options))
    assert "s3cret" not in str(caught.value)
    return {problem.field.removeprefix(f"destination.{kind}"): problem.message for problem in caught.value.problems}


def test_a_password_in_clear_is_refused_and_not_repeated() -> None:
    assert set(problems("nats", servers=["nats://me:s3cret@host"])) == {".servers[0]"}
    assert set(problems("rabbitmq", url="amqp://me:s3cret@host/", exchange="x")) == {".url"}
    assert set(problems("kafka", brokers=["me:s3cret@host:9092"], topic="x")) == {".brokers[0]"}
    for kind, where in (
        ("nats", {"servers": ["nats://host"]}),
        ("rabbitmq", {"url": "amqp://host/", "exchange": "x"}),
        ("kafka", {"brokers": ["host:9092"], "topic": "x"}),
    ):
        found = problems(kind, user="me", password="s3cret", **where)
        assert all(field.startswith(".password") for field in found)


def test_every_fault_of_the_options_is_named_at_once() -> None:
    assert set(problems("kafka", brokers=["host"], topic="a b", mechanism="GSSAPI", acks=1)) == {
        ".brokers[0]",
        ".topic",
        ".mechanism",
        ".acks",
    }
    assert set(problems("nats", servers=["http://x"], subject="kept.*", timeout_seconds=0)) == {
        ".servers[0]",
        ".subject",
        ".timeout_seconds",
    }
    assert set(problems("rabbitmq", url="http://x", routing_key="{key}", exchange="x" * 128)) == {
        ".url",
        ".routing_key",
        ".exchange",
    }


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("nats", {"servers": ["nats://h"], "user": "me"}, "belong together"),
        ("nats", {"servers": ["nats://h"], "user": "me", "password": REFERENCE, "token": REFERENCE}, "either"),
        ("nats", {"servers": ["nats://h", "tls://h"]}, "for all"),
        ("nats", {"servers": ["nats://h"], "ca_file": "ca.pem"}, "tls://"),
        ("nats", {"servers": ["nats://h"], "subject": "a..b"}, "words"),
        ("nats", {"servers": ["nats://h"], "subject": "a" * 1001}, "1000"),
        ("rabbitmq", {"url": "amqp://h/", "exchange": "", "ca_file": "ca.pem"}, "amqps://"),
        ("rabbitmq", {"url": "amqps://h/", "exchange": "", "key_file": "key.pem"}, "certificate_file"),
        ("rabbitmq", {"url": "amqp://h/", "exchange": "", "routing_key": "{caller}" * 7}, "255"),
        ("kafka", {"brokers": ["h:1"], "topic": "x", "ca_file": "ca.pem"}, "tls: true"),
    ],
)
def test_options_that_do_not_fit_together(kind: str, options: dict[str, object], told: str) -> None:
    assert told in str(problems(kind, **options))
