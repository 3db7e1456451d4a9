"""One table: every option, variable and default is read from it, and every fault is found at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar import settings
from sidecar.errors import ConfigurationError
from sidecar.model_server import ModelServer
from sidecar.settings import Address


def problems_of(options: dict[str, str], environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings.load(options, environment or {})
    return [str(problem) for problem in caught.value.problems]


def test_defaults_are_a_working_loopback_sidecar() -> None:
    loaded = settings.load({}, {})
    assert loaded.upstream == Address("127.0.0.1", 8080)
    assert loaded.admin.is_loopback
    assert loaded.relay_memory == 64 * 1024**2
    assert loaded.retry_for == 72 * 3600


def test_an_option_wins_over_the_environment_which_wins_over_the_default() -> None:
    environment = {"SIDECAR_LISTEN": "0.0.0.0:1", "SIDECAR_DATA": "/from/environment"}
    loaded = settings.load({"listen": ":2"}, environment)
    assert loaded.listen == Address("0.0.0.0", 2)
    assert loaded.data == Path("/from/environment")


def test_a_child_reads_the_same_settings() -> None:
    options = {"listen": "127.0.0.1:5", "models": "a=http://h/v1/models/a:predict"}
    environment = {"SIDECAR_DATA": "/d", "PATH": "/bin"}
    child = settings.to_environment(options, environment)
    assert settings.load({}, child) == settings.load(options, environment)


def test_every_fault_is_named_at_once_with_where_it_was_written() -> None:
    said = problems_of({"listen": "nowhere", "max_body": "much"}, {"SIDECAR_UPSTREAM": "ftp://x", "SIDECAR_TYPO": "1"})
    assert len(said) == 4
    for place in ("--listen: 'nowhere'", "--max-body: 'much'", "SIDECAR_UPSTREAM: 'ftp://x'", "SIDECAR_TYPO: no such"):
        assert any(text.startswith(place) for text in said), place


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("upstream", "http://model:1/path"),
        ("upstream", "model:1"),
        ("listen", "unix:"),
        ("listen", "host:99999"),
        ("models", "digits"),
        ("models", "a=http://h/x,a=http://h/y"),
        ("caller_header", "two words"),
        ("log_level", "loud"),
        ("max_body", "0"),
        ("grace", "soon"),
        ("policies", ""),
    ],
)
def test_a_bad_value_is_refused_naming_the_option(option: str, value: str) -> None:
    (said,) = problems_of({option: value})
    assert said.startswith("--" + option.replace("_", "-"))


def test_an_admin_address_that_can_be_reached_from_outside_needs_a_token() -> None:
    (said,) = problems_of({"admin": "0.0.0.0:9901"})
    assert "SIDECAR_ADMIN_TOKEN" in said
    assert settings.load({"admin": "0.0.0.0:9901"}, {"SIDECAR_ADMIN_TOKEN": "t"}).admin.port == 9901


def test_a_body_larger_than_the_memory_for_copies_is_refused() -> None:
    (said,) = problems_of({"max_body": "65MiB"})
    assert "relay_memory" in said


def test_values_are_read_into_what_they_are() -> None:
    loaded = settings.load(
        {
            "upstream": "unix:/run/model.sock",
            "listen": "[::1]:8",
            "models": "second=http://h:1/v1/models/second:predict",
            "metadata_headers": "X-A, x-b",
        },
        {},
    )
    assert loaded.upstream == Address(path="/run/model.sock")
    assert (loaded.listen.host, str(loaded.listen)) == ("::1", "[::1]:8")
    assert loaded.models == (ModelServer("second", "http://h:1/v1/models/second:predict"),)
    assert loaded.metadata_headers == ("x-a", "x-b")


def test_what_is_shown_reads_back_as_the_same_and_hides_secrets() -> None:
    options = {"admin_token": "hush", "drain_delay": "250ms", "relay_memory": "128MiB"}
    loaded = settings.load(options, {})
    shown = {row.name: settings.show(loaded, row.name) for row in settings.rows()}
    assert shown["admin_token"] == "***"
    assert shown["drain_delay"] == "250ms"
    shown["admin_token"] = "hush"
    shown["upstream"] = f"http://{shown['upstream']}"
    assert settings.load(shown, {}) == loaded


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("upstream", "http://me:hush@host:80"),
        ("upstream", "https://me:hush@host:80"),
        ("models", "second=http://me:hush@host/v1/models/second:predict"),
        ("models", "second=ftp://me:hush@host/"),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(option: str, value: str) -> None:
    (said,) = problems_of({option: value})
    assert said.startswith(f"--{option}: ")
    assert "hush" not in said


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.1.example.org"])
def test_a_name_that_only_begins_like_loopback_needs_a_token(host: str) -> None:
    (said,) = problems_of({"admin": f"{host}:9901"})
    assert "can be reached from outside" in said


def test_a_token_is_taken_without_the_line_end_of_its_file() -> None:
    assert settings.load({}, {"SIDECAR_ADMIN_TOKEN": "hush\n"}).admin_token == "hush"
    (said,) = problems_of({}, {"SIDECAR_ADMIN_TOKEN": "hush\nhush"})
    assert said == "SIDECAR_ADMIN_TOKEN: must be one line of text"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tls_key": "k"}, "--tls-key: needs --tls-cert"),
        ({"tls_client_ca": "c"}, "--tls-client-ca: needs --tls-cert"),
        ({"upstream_ca": "c"}, "--upstream-ca: needs --upstream https://…"),
        ({"upstream_server_name": "n"}, "--upstream-server-name: needs --upstream https://…"),
        ({"upstream": "https://m", "upstream_key": "k"}, "--upstream-key: needs --upstream-cert"),
        ({"upstream": "https://m", "alpn": "h2,http/1.1"}, "--alpn: must be one name"),
        ({"alpn": " , "}, "--alpn: write names of protocols"),
        ({"max_connections": "0"}, "--max-connections: '0' is not a number above 0"),
        ({"max_connections": "1KiB"}, "--max-connections: '1KiB' is not a number above 0"),
        ({"idle_timeout": "soon"}, "--idle-timeout: 'soon' is not a duration"),
    ],
)
def test_settings_of_connections_that_make_no_sense_are_refused(options: dict[str, str], said: str) -> None:
    (problem,) = problems_of(options)
    assert problem.startswith(said)


def test_limits_are_read_and_shown_and_0_is_none() -> None:
    options = {"max_connections": "2048", "idle_timeout": "1m", "head_timeout": "0", "alpn": "h2, http/1.1"}
    loaded = settings.load(options, {})
    assert (loaded.max_connections, loaded.idle_timeout, loaded.head_timeout) == (2048, 60.0, None)
    assert loaded.alpn == ("h2", "http/1.1")
    shown = [settings.show(loaded, name) for name in options]
    assert shown == ["2048", "1m", "", "h2,http/1.1"]


@pytest.mark.parametrize("text", ["0", "65", "-1", "two", "1.5", ""])
def test_workers_are_a_small_number(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--workers: .* is not a number from 1 to 64"):
        settings.load({"workers": text}, {})


def test_each_worker_has_room_for_the_largest_body() -> None:
    assert settings.load({"workers": "8"}, {}).workers == 8
    with pytest.raises(ConfigurationError, match="relay_memory for each of the workers"):
        settings.load({"workers": "9"}, {})
