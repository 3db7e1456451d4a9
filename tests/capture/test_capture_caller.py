"""Who called, and what of a request goes on into the engine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.exchanges import payload_of, predict

from sidecar.capture.arrival import Arrival, ArrivalReader, decode_arrival, is_credential
from sidecar.capture.caller import Callers, hash_of, read_keys
from sidecar.errors import ConfigurationError
from sidecar.exchange import Exchange, Message, read_head

CALLERS = Callers("X-Caller-Id", {hash_of("k1"): "alice"})
ALLOWED = ("content-type", "user-agent", "authorization", "x-api-key", "cookie")
REQUEST = {"instances": [[1.0]]}


def resolve(*headers: tuple[str, str]) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return CALLERS.resolve(read_head(f"POST / HTTP/1.1\r\n{lines}\r\n".encode()))


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ([("x-caller-id", "bob"), ("authorization", "Key k1")], "bob"),
        ([("X-Caller-Id", ""), ("Authorization", "Key k1")], "alice"),
        ([("authorization", "bearer  k1")], "alice"),
        ([("x-api-key", "k1")], "alice"),
        ([("authorization", "Basic k1")], "anonymous"),
        ([("authorization", "Key k2")], "anonymous"),
        ([("x-caller-id", "zoë")], "zoë"),
        ([], "anonymous"),
    ],
)
def test_the_first_that_names_a_caller_wins(headers: list[tuple[str, str]], caller: str) -> None:
    assert resolve(*headers) == caller


def test_a_callers_name_that_is_no_utf8_is_kept_as_it_is() -> None:
    assert CALLERS.resolve(read_head(b"POST / HTTP/1.1\r\nx-caller-id: zo\xeb\r\n\r\n")) == "zoë"


def test_keys_are_read_by_hash(tmp_path: Path) -> None:
    digest = "sha256:" + hashlib.sha256(b"k1").hexdigest()
    path = tmp_path / "keys.yaml"
    path.write_text(f'keys: {{alice: ["{digest}"], bob: []}}')
    assert read_keys(path) == {digest: "alice"}
    assert Callers("x-none", read_keys(path)).resolve(read_head(b"P / H\r\nx-api-key: k1\r\n\r\n")) == "alice"


def test_every_fault_in_the_keys_is_said_and_no_key_is_repeated(tmp_path: Path) -> None:
    digest = hash_of("k1")
    path = tmp_path / "keys.yaml"
    path.write_text(f"{{keys: {{alice: [{digest}, my-secret], bob: [{digest}], carl: my-secret, 3: []}}, more: 1}}")
    with pytest.raises(ConfigurationError) as caught:
        read_keys(path)
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [
        ("more", "unknown field: only keys is known"),
        ("keys.alice[1]", 'must be sha256: and 64 hex digits: printf %s "$KEY" | sha256sum'),
        ("keys.bob[0]", "the same key is already alice's"),
        ("keys.carl", "must be a list of hashes"),
        ("keys.3", "a caller's name must be text: put it in quotes"),
    ]
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    assert "my-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"), [("keys: [", "is not YAML"), ("- a", "must be an object"), ("", "must be an object")]
)
def test_keys_that_are_no_table_are_refused(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=why):
        read_keys(path)


def test_a_missing_file_of_keys_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.yaml: cannot be read"):
        read_keys(tmp_path / "none.yaml")


def arrive(exchange: Exchange) -> Arrival:
    arrival = ArrivalReader(CALLERS, ALLOWED).read(payload_of(exchange))
    assert arrival is not None
    return arrival


def test_an_arrival_says_what_its_inputs_metadata_will() -> None:
    headers = {"User-Agent": "phone", "X-Caller-Id": "bob", "Accept": "*/*", "traceparent": "00-1", "user-agent": "2"}
    arrival = arrive(predict("/v1/models/m/versions/3:predict?lang=en&lang=de&empty=", REQUEST, headers=headers))
    assert arrival.asked.key == ("bob", "m", "3")
    assert arrival.describe("3") == {
        "headers": {"content-type": "application/json", "user-agent": "phone", "traceparent": "00-1"},
        "query": {"lang": "en", "empty": ""},
        "path": "/v1/models/m/versions/3:predict",
        "caller": "bob",
        "model": "m",
        "version": "3",
        "status": 200,
        "latency_ms": 12.5,
    }


def test_no_credential_goes_on() -> None:
    headers = {"Authorization": "Key hush", "X-API-Key": "hush", "Cookie": "a=hush", "X-Request-Id": "r1"}
    target = "http://user:hush@host/v1/models/m:predict?key=hush&access_token=hush&x%2Dapi%2Dkey=hush&page=2"
    exchange = predict(
        target, REQUEST, {"predictions": [[0.5]]}, headers=headers, answer_headers={"Set-Cookie": "hush"}
    )
    arrival = arrive(exchange)
    assert "hush" not in repr(arrival)
    assert arrival.asked.caller == "anonymous"
    metadata = arrival.describe("")
    assert metadata["path"] == "/v1/models/m:predict"
    assert metadata["query"] == {"page": "2"}
    assert metadata["headers"] == {"content-type": "application/json", "x-request-id": "r1"}


@pytest.mark.parametrize(
    "name", ["sig", "X-Amz-Signature", "api_key", "apikey", "id_token", "Ocp-Apim-Subscription-Key"]
)
def test_names_of_credentials(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize("name", ["content-type", "keyword", "monkey", "page", "design", "x-request-id", "traceparent"])
def test_names_of_other_things(name: str) -> None:
    assert not is_credential(name)


def test_an_arrival_decodes_with_its_metadata() -> None:
    call = decode_arrival(arrive(predict("/v1/models/m:predict", REQUEST, {"predictions": [[0.5]]})))
    assert call.inputs[0].metadata["status"] == 200
    assert call.outputs[0] is not None
    unanswered = arrive(predict("/v1/models/m:predict", REQUEST, has_answer=False))
    assert unanswered.describe("")["status"] == 0
    assert decode_arrival(unanswered).output_error == "no answer"


@pytest.mark.parametrize(
    "head", [b"", b"GET /v1/models/m HTTP/1.1\r\n\r\n", b"\xff\xfe \xff", b"POST http:// \r\n\r\n"]
)
def test_what_is_no_predict_call_does_not_arrive(head: bytes) -> None:
    exchange = Exchange(bytes(16), 0.0, 0.0, Message(head, b""), None)
    assert ArrivalReader(CALLERS, ALLOWED).read(payload_of(exchange)) is None
