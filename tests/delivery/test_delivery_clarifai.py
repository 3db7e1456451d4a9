"""Posting to a real server that fails in every way a far side can."""

from __future__ import annotations

import base64
import gc
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from support.clarifai_app import ClarifaiFake, clarifai_fake, close_mid_answer, ids_of, plain, refuse_batches, status
from support.clock import FakeClock

from sidecar.data import Concept, Data, Media, Tensor, Text
from sidecar.delivery.clarifai import ClarifaiApp, ClarifaiOptions
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.registry import new_session
from sidecar.errors import PermanentError, TransientError

KEY = "a-very-secret-key"
REFERENCE = "key-" + "0" * 24


def parcel(input_id: str, data: Data | None = None) -> Parcel:
    data = data or Data(text=Text(raw=f"text of {input_id}"))
    return Parcel(input_id, data, "watch", "alice", "digits", "1", "local", "main", created_at=1.0)


class Bench:
    """A destination before the fake, with a sleep that only notes how long."""

    def __init__(self, fake: ClarifaiFake, session: aiohttp.ClientSession, options: ClarifaiOptions) -> None:
        self.fake = fake
        self.session = session
        self.options = options
        self.slept: list[float] = []
        self.app = ClarifaiApp(options, session, secret_of, FakeClock(), self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def deliver(self, *ids: str) -> list[Outcome]:
        return await self.app.deliver([parcel(each) for each in ids])


async def secret_of(reference: str) -> str | None:
    return KEY if reference == REFERENCE else None


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with clarifai_fake() as fake, new_session() as session:
        options = ClarifaiOptions(
            base_url=fake.url, user_id="me", app_id="kept", key_id=REFERENCE, timeout_seconds=10, dataset_ids=("week",)
        )
        yield Bench(fake, session, options)


async def test_posts_exactly_what_the_contract_asks_for(bench: Bench) -> None:
    image = Data(image=Media(content=b"\x89PNG\r\n\x1a\nrest"), concepts=(Concept("cat", 0.0),), metadata={"k": 1})
    outcomes = await bench.app.deliver([parcel("aa", image), parcel("bb")])
    assert outcomes == [Delivered(), Delivered()]
    (posted,) = bench.fake.posted
    assert posted.path == "/v2/users/me/apps/kept/inputs"
    assert posted.headers["Authorization"] == f"Key {KEY}"
    assert posted.headers["Content-Type"] == "application/json"
    content = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
    assert posted.body == {
        "inputs": [
            {
                "id": "aa",
                "data": {
                    "image": {"base64": content},
                    "concepts": [{"id": "cat", "name": "cat", "value": 0.0}],
                    "metadata": {"k": 1},
                },
                "dataset_ids": ["week"],
            },
            {"id": "bb", "data": {"text": {"raw": "text of bb"}}, "dataset_ids": ["week"]},
        ],
        "input_id_conflict_resolution": "SKIP",
    }


async def test_each_input_has_its_own_outcome(bench: Bench) -> None:
    bench.fake.refused = {"b": 30104, "c": 30100, "d": 39997}
    outcomes = await bench.deliver("a", "b", "c", "d")
    assert [type(outcome) for outcome in outcomes] == [Delivered, Rejected, Rejected, Retry]
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == [
        "",
        "invalid_input",
        "duplicate_url",
        "code_39997",
    ]


async def test_a_repeat_is_success_and_stored_once(bench: Bench) -> None:
    bench.fake.plan(bench.fake.accept_and_vanish)
    assert await bench.deliver("a", "b") == [Delivered(), Delivered()]
    assert len(bench.fake.posted) == 2
    assert sorted(bench.fake.stored) == ["a", "b"]


async def test_throttled_inside_http_200_waits_and_sends_no_more(bench: Bench) -> None:
    bench.fake.plan(status(11005))
    video = Data(video=Media(url="http://x/v.mp4"))
    outcomes = await bench.app.deliver([parcel("a", video), parcel("b", video), parcel("c")])
    assert outcomes == [Retry("throttled", "scripted", 15.0)] * 3
    assert ids_of(bench.fake.posted) == [["a"]]
    assert bench.slept == []


async def test_retry_after_is_honoured(bench: Bench) -> None:
    bench.fake.plan(plain(429, headers={"Retry-After": "7"}))
    assert await bench.deliver("a") == [Retry("throttled", "HTTP 429", 7.0)]
    bench.fake.plan(plain(503, headers={"Retry-After": "Tue, 14 Nov 2023 22:15:20 GMT"}))
    assert await bench.deliver("a") == [Retry("http_503", "HTTP 503", 120.0)]
    assert bench.slept == []


@pytest.mark.parametrize(("code", "reason"), [(11009, "key_unknown"), (0, "key_invalid")])
async def test_a_refused_key_is_final_and_posted_once(bench: Bench, code: int, reason: str) -> None:
    bench.fake.plan(status(code, 401))
    outcomes = await bench.deliver("a", "b")
    assert outcomes == [Rejected(reason, "scripted")] * 2
    assert len(bench.fake.posted) == 1


async def test_a_server_error_gets_three_quick_tries(bench: Bench) -> None:
    bench.fake.plan(status(0, 500), plain(502, "<html>bad gateway</html>"), status(0, 500))
    assert await bench.deliver("a") == [Retry("http_500", "scripted")]
    assert len(bench.fake.posted) == 3
    assert 0 < sum(bench.slept) < 2
    bench.fake.plan(status(0, 500))
    assert await bench.deliver("a") == [Delivered()]


async def test_html_is_no_answer(bench: Bench) -> None:
    bench.fake.plan(plain(200, "<html>please sign in</html>"))
    (outcome,) = await bench.deliver("a")
    assert isinstance(outcome, Retry)
    assert outcome.reason == "unreadable_answer"


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.fake.plan(plain(302, headers={"Location": bench.fake.url + "/v2/users/other/apps/kept/inputs"}))
    assert await bench.deliver("a") == [Rejected("http_302", "HTTP 302")]
    assert len(bench.fake.posted) == 1


async def test_a_hang_ends_at_the_timeout_and_holds_up_once(bench: Bench) -> None:
    bench.fake.plan(bench.fake.hang)
    impatient = bench.options.model_copy(update={"timeout_seconds": 0.1})
    app = ClarifaiApp(impatient, bench.session, secret_of, FakeClock())
    assert await app.deliver([parcel("a")]) == [Retry("timeout", "no whole answer within 0.1 s")]
    assert len(bench.fake.posted) == 1


async def test_a_connection_lost_mid_answer_is_retried(bench: Bench) -> None:
    bench.fake.plan(close_mid_answer, close_mid_answer, close_mid_answer)
    (outcome,) = await bench.deliver("a")
    assert isinstance(outcome, Retry)
    assert outcome.reason == "connection_lost"
    assert len(bench.fake.posted) == 3


async def test_nobody_listens(bench: Bench) -> None:
    async with new_session() as session:
        options = ClarifaiOptions(base_url=f"http://127.0.0.1:{unused_port()}", user_id="me", app_id="kept")
        (outcome,) = await ClarifaiApp(options, session, secret_of, FakeClock(), bench.sleep).deliver([parcel("a")])
    assert isinstance(outcome, Retry)
    assert outcome.reason == "unreachable"
    assert len(bench.slept) == 2


async def test_what_nobody_took_is_not_held_until_the_collector_comes(bench: Bench) -> None:
    async with new_session() as session:
        options = ClarifaiOptions(base_url=f"http://127.0.0.1:{unused_port()}", user_id="me", app_id="kept")
        app = ClarifaiApp(options, session, secret_of, FakeClock(), bench.sleep)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await app.deliver([parcel("kept-in-a-circle")])
            held = [each for each in gc.get_objects() if type(each) is io.BytesIO and not each.closed]
            assert not any(b"kept-in-a-circle" in each.getvalue() for each in held)
        finally:
            gc.enable()


async def test_one_bad_input_does_not_take_its_batch_along(bench: Bench) -> None:
    bench.fake.plan(refuse_batches(11102, 400, "e"))
    outcomes = await bench.deliver(*"abcdefgh")
    assert outcomes == [Delivered()] * 4 + [Rejected("invalid_request", "bad batch")] + [Delivered()] * 3
    assert sorted(bench.fake.stored) == list("abcdfgh")


async def test_too_large_never_leaves(bench: Bench) -> None:
    outcomes = await bench.app.deliver([parcel("a", Data(image=Media(content=bytes(20_000_000)))), parcel("b")])
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[0].reason == "too_large"
    assert outcomes[1] == Delivered()
    assert ids_of(bench.fake.posted) == [["b"]]


async def test_more_than_a_request_holds_goes_in_several(bench: Bench) -> None:
    ids = [f"i{number}" for number in range(130)]
    assert await bench.deliver(*ids) == [Delivered()] * 130
    assert ids_of(bench.fake.posted) == [ids[:128], ids[128:]]


async def test_a_large_request_is_sent_whole(bench: Bench) -> None:
    tensor = Data(tensors=(Tensor(value="x" * 3_000_000),))
    assert await bench.app.deliver([parcel("a", tensor)]) == [Delivered()]


async def test_the_key_is_in_no_outcome(bench: Bench) -> None:
    bench.fake.plan(status(11008, 401, details=f"no such key: {KEY}"))
    (outcome,) = await bench.deliver("a")
    assert outcome == Rejected("key_invalid", "scripted: no such key: ***")


async def test_without_its_key_nothing_is_posted(bench: Bench) -> None:
    async def fails(_reference: str) -> str | None:
        raise TransientError("database failed", 5.0)

    async def unreadable(_reference: str) -> str | None:
        raise PermanentError("another key")

    async def none(_reference: str) -> str | None:
        return None

    async def two_lines(_reference: str) -> str | None:
        return "key\r\nX-Other: 1"

    found = []
    for resolve in (fails, unreadable, none, two_lines):
        app = ClarifaiApp(bench.options, bench.session, resolve, FakeClock())
        (outcome,) = await app.deliver([parcel("a")])
        assert isinstance(outcome, Retry | Rejected)
        found.append((type(outcome), outcome.reason))
    assert found == [
        (Retry, "key_unavailable"),
        (Rejected, "key_unreadable"),
        (Rejected, "key_unknown"),
        (Rejected, "key_invalid"),
    ]
    assert bench.fake.posted == []


async def test_no_key_means_no_authorization(bench: Bench) -> None:
    options = bench.options.model_copy(update={"key_id": ""})
    await ClarifaiApp(options, bench.session, secret_of, FakeClock()).deliver([parcel("a")])
    assert "Authorization" not in bench.fake.posted[0].headers
