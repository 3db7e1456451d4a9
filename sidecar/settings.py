"""The one table of settings: README, `sidecar check`, the command line, the environment and the manifests come from it.

Each field of `Settings` is one setting with its default, its help and its reader. An option `--some-name` on the
command line wins over `SIDECAR_SOME_NAME` in the environment, which wins over the default. All faults are found at
once. Imports nothing heavy: the relay reads its settings here too.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.addresses import Address as Address
from sidecar.kit.addresses import masked, parse_address, parse_upstream, refuse_password
from sidecar.kit.sizes import format_bytes, format_seconds, parse_bytes, parse_seconds
from sidecar.model_server import ModelServer

PREFIX = "SIDECAR_"
ORIGINS = "_SIDECAR_ORIGINS"
"""Ours alone: what a process tells its children about where settings came from."""
MOST_WORKERS = 64


def _optional_address(text: str) -> Address | None:
    return parse_address(text) if text else None


def _rows_address(text: str) -> Address | None:
    """The same text that the library is given: there it may be a URL."""
    return _optional_address(text.removeprefix("http://").rstrip("/"))


def _token(text: str) -> str:
    """The token less the line end that files and secrets made by `echo` bring along."""
    token = text.strip()
    if not token.isprintable():
        raise ValueError("must be one line of text")
    return token


def _models(text: str) -> tuple[ModelServer, ...]:
    servers = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, url = item.partition("=")
        if not name or urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{masked(item)!r} is not id=http://host:port/path-of-its-predict-call")
        refuse_password(url)
        servers.append(ModelServer(name, url))
    if len({server.id for server in servers}) < len(servers):
        raise ValueError("a model id stands twice")
    return tuple(servers)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def _header(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+", text):
        raise ValueError(f"{text!r} is not a header's name")
    return text.lower()


def _path(text: str) -> Path:
    if not text:
        raise ValueError("must not be empty")
    return Path(text)


def _optional_path(text: str) -> Path | None:
    return Path(text) if text else None


def _alpn(text: str) -> tuple[str, ...]:
    """Names as TLS has them: they know upper from lower case."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names or any(not name.isascii() or len(name) > 255 for name in names):
        raise ValueError("write names of protocols, such as http/1.1 or h2,http/1.1")
    return names


def _optional_seconds(text: str) -> float | None:
    return (parse_seconds(text) or None) if text else None


class Count(int):
    """A number of things, not of bytes."""


def _optional_count(text: str) -> Count | None:
    if not text:
        return None
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{text!r} is not a number above 0")
    return Count(text)


def _level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError(f"{text!r} is not one of debug, info, warning, error")
    return text.lower()


def _positive_bytes(text: str) -> int:
    size = parse_bytes(text)
    if size <= 0:
        raise ValueError("must be more than 0")
    return size


def _relays(text: str) -> Count:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise ValueError(f"{text!r} is not a number from 1 to {MOST_WORKERS}")
    return Count(text)


def _setting(default: str, read: Callable[[str], Any], help: str, *, secret: bool = False) -> Any:  # noqa: A002, ANN401
    """One row of the table; the default is text, read like any other, so that what the table shows is what holds."""
    return dataclasses.field(
        default_factory=lambda: read(default),
        metadata={"default": default, "read": read, "help": help, "secret": secret},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, read. Sizes are bytes, durations seconds."""

    upstream: Address = _setting(
        "http://127.0.0.1:8080", parse_upstream, "the model server: `http://host:port`, `https://…` or `unix:/path`"
    )
    listen: Address = _setting(
        "127.0.0.1:9080", parse_address, "where predict traffic comes in: `host:port` or `unix:/path`"
    )
    workers: int = _setting("1", _relays, "relay processes that share the traffic, with one engine behind them")
    tls_cert: Path | None = _setting("", _optional_path, "certificate chain, PEM: clients are then served over TLS")
    tls_key: Path | None = _setting("", _optional_path, "its key, PEM; may stand in the same file")
    tls_client_ca: Path | None = _setting(
        "", _optional_path, "authorities, PEM: only clients with a certificate of theirs are served"
    )
    upstream_ca: Path | None = _setting(
        "", _optional_path, "authorities, PEM, for an `https` model server, instead of the system's"
    )
    upstream_cert: Path | None = _setting(
        "", _optional_path, "certificate chain, PEM, that is shown to the model server"
    )
    upstream_key: Path | None = _setting("", _optional_path, "its key, PEM; may stand in the same file")
    upstream_server_name: str = _setting("", str.strip, "name on the model server's certificate, when not its host")
    alpn: tuple[str, ...] = _setting(
        "http/1.1", _alpn, "protocols that TLS may agree on, most wanted first; the model server must speak each"
    )
    max_connections: int | None = _setting(
        "", _optional_count, "clients served at once by a relay, more have to wait; as many as open files allow"
    )
    idle_timeout: float | None = _setting(
        "",
        _optional_seconds,
        "a client that waits for no answer is closed when silent for that long; no limit unless set",
    )
    head_timeout: float | None = _setting(
        "", _optional_seconds, "how long a request's head may take from its first byte; no limit unless set"
    )
    admin: Address = _setting("127.0.0.1:9901", parse_address, "the admin API and the page")
    admin_token: str = _setting(
        "", _token, "token for the admin API; required when `admin` is not loopback", secret=True
    )
    probes: Address | None = _setting("", _optional_address, "address that serves health and metrics only")
    mdc: Address | None = _setting(
        "", _rows_address, "where rows that scoring code collects come in, such as `127.0.0.1:50011`, or `unix:/path`"
    )
    mdc_model: str = _setting("default", str.strip, "the model whose rows those are that name none")
    policies: Path = _setting("policies", _path, "folder of collectors, workflows and models, one YAML file each")
    data: Path = _setting("data", _path, "folder of the database, the secret key and the sockets")
    models: tuple[ModelServer, ...] = _setting(
        "",
        _models,
        "models that workflows may call: `id=URL of its predict call`, separated by commas; or a `model:` file",
    )
    caller_header: str = _setting("X-Caller-Id", _header, "request header that names the caller")
    keys: Path | None = _setting("", _optional_path, "YAML file of API key hashes and whose they are")
    metadata_headers: tuple[str, ...] = _setting(
        "content-type,user-agent,x-request-id,traceparent",
        _names,
        "request headers kept as an input's metadata, separated by commas",
    )
    max_body: int = _setting("8MiB", _positive_bytes, "largest request or answer body that is captured")
    relay_memory: int = _setting(
        "64MiB", _positive_bytes, "bytes of copies that the relays may hold, each an equal share"
    )
    queue_memory: int = _setting("64MiB", _positive_bytes, "bytes of exchanges that may wait in the engine")
    retry_for: float = _setting(
        "72h", parse_seconds, "how long a delivery or a model call is tried again before the job is a dead letter"
    )
    drain_delay: float = _setting("5s", parse_seconds, "after SIGTERM: how long new connections are still accepted")
    grace: float = _setting("25s", parse_seconds, "after that: how long open exchanges may take to end")
    data_limit: int = _setting(
        "4GiB", _positive_bytes, "largest size of the database; what no longer fits is dropped as `disk_full`"
    )
    log_level: str = _setting("info", _level, "`debug`, `info`, `warning` or `error`")


class Row(NamedTuple):
    """One setting as people see it."""

    name: str
    default: str
    help: str
    secret: bool

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def rows() -> tuple[Row, ...]:
    """The table, in order."""
    return tuple(
        Row(f.name, f.metadata["default"], f.metadata["help"], f.metadata["secret"])
        for f in dataclasses.fields(Settings)
    )


def load(options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Read settings; `options` are the command line's, by field name. Raises ConfigurationError with every fault."""
    settings, problems = read(options, environment)
    if problems:
        raise ConfigurationError(problems)
    return settings


def read(options: Mapping[str, str], environment: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """The same with every fault told; a setting that cannot be read has its default."""
    problems = [_unknown(name) for name in environment if _is_unknown(name)]
    values: dict[str, Any] = {}
    for field, row in zip(dataclasses.fields(Settings), rows(), strict=True):
        text, where = _text_of(row, options, environment)
        try:
            values[row.name] = field.metadata["read"](text)
        except ValueError as error:
            problems.append(Problem(str(error), field=where))
    settings = Settings(**values)
    return settings, problems or _across(settings)


def _text_of(row: Row, options: Mapping[str, str], environment: Mapping[str, str]) -> tuple[str, str]:
    if row.name in options:
        return options[row.name], row.option
    if row.variable in environment:
        return environment[row.variable], row.variable
    return row.default, row.option


def _is_unknown(name: str) -> bool:
    return name.startswith(PREFIX) and name not in {row.variable for row in rows()}


def _unknown(name: str) -> Problem:
    return Problem("no such setting: see `sidecar run --help`", field=name)


def _across(settings: Settings) -> list[Problem]:
    """Faults that no single setting shows."""
    problems = []
    if not settings.admin.is_loopback and not settings.admin_token:
        message = f"{settings.admin} can be reached from outside: set {PREFIX}ADMIN_TOKEN or listen on 127.0.0.1"
        problems.append(Problem(message, field="--admin"))
    if settings.max_body > min(settings.relay_memory // settings.workers, settings.queue_memory):
        share = " for each of the workers" if settings.workers > 1 else ""
        message = f"must not be larger than relay_memory{share} and queue_memory: nothing that large could be kept"
        problems.append(Problem(message, field="--max-body"))
    if settings.listen == settings.admin and settings.listen.port:
        problems.append(Problem(f"{settings.admin} is already --listen", field="--admin"))
    if settings.mdc in (settings.listen, settings.admin) and settings.mdc.port:
        problems.append(Problem(f"{settings.mdc} is already --listen or --admin", field="--mdc"))
    return problems + _across_tls(settings)


def _across_tls(settings: Settings) -> list[Problem]:
    needs = (
        (settings.tls_cert, "--tls-cert", ("tls_key", "tls_client_ca")),
        (settings.upstream_cert, "--upstream-cert", ("upstream_key",)),
        (settings.upstream.is_tls, "--upstream https://…", ("upstream_ca", "upstream_cert", "upstream_server_name")),
    )
    problems = [
        Problem(f"needs {needed}", field="--" + name.replace("_", "-"))
        for is_there, needed, names in needs
        for name in names
        if getattr(settings, name) and not is_there
    ]
    if len(settings.alpn) > 1 and settings.upstream.is_tls and settings.tls_cert is None:
        message = "must be one name: without --tls-cert no client says which of them it speaks"
        problems.append(Problem(message, field="--alpn"))
    return problems


def origins(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Where each setting that is not its default came from: `option` or `environment`.

    A child process is told by its parent, which hands on all that it was given as environment.
    """
    if ORIGINS in environment:
        return dict(each.split("=", 1) for each in environment[ORIGINS].split(",") if "=" in each)
    given = {row.name: "environment" for row in rows() if row.variable in environment}
    return given | dict.fromkeys(options, "option")


def to_environment(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child process that reads the same settings, and knows where each was given."""
    child = {name: value for name, value in environment.items() if name != ORIGINS}
    child[ORIGINS] = ",".join(f"{name}={where}" for name, where in origins(options, child).items())
    for row in rows():
        if row.name in options:
            child[row.variable] = options[row.name]
    return child


def show(settings: Settings, name: str) -> str:
    """A setting's value as a person would write it; a secret is masked."""
    value = getattr(settings, name)
    row = next(row for row in rows() if row.name == name)
    if row.secret:
        return "***" if value else ""
    if value is None:
        return ""
    if isinstance(value, float):
        return format_seconds(value)
    if isinstance(value, int):
        return str(value) if isinstance(value, Count) else format_bytes(value)
    if isinstance(value, tuple) and not isinstance(value, Address):
        return ",".join(f"{item.id}={item.url}" if isinstance(item, ModelServer) else str(item) for item in value)
    return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def markdown_table() -> str:
    """The table for the README; a test keeps the two equal."""
    lines = ["| option | environment | default | what it is |", "|---|---|---|---|"]
    for row in rows():
        default = f"`{_cell(row.default)}`" if row.default else "–"
        lines.append(f"| `{row.option}` | `{row.variable}` | {default} | {_cell(row.help)} |")
    return "\n".join(lines)
