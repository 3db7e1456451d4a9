"""What happened is said once, in words, and never with what was captured."""

from __future__ import annotations

import io

import pytest

from sidecar.errors import ConfigurationError, Problem
from sidecar.events import CANNOT_START, Events
from sidecar.kit import logs

SECRET = "pat-0123456789abcdef"


def broken(pasted: str) -> None:
    raise ValueError(pasted)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["a machine", "a person"])
def test_a_fault_is_told_by_its_type_and_place_without_any_value(stream: io.StringIO) -> None:
    events = Events(logs.configure("debug", stream))
    try:
        broken(SECRET)
    except ValueError as error:
        events.capture_failed("arrival", error)
        events.task_failed("dispatch", error)
        events.request_failed("GET", "/v1/ledger", error)
    said = stream.getvalue()
    assert said.count("in broken") == 3
    assert SECRET not in said


def test_a_terminal_shows_an_exception_without_local_values() -> None:
    stream = Terminal()
    log = logs.configure("debug", stream)
    try:
        int(len(SECRET) * "x")
    except ValueError:
        log.exception("failed", local_value=len(SECRET))
    assert "test_events.py" in stream.getvalue()
    assert "locals" not in stream.getvalue()


def test_what_was_not_meant_is_a_warning_and_what_was_meant_is_none() -> None:
    stream = io.StringIO()
    events = Events(logs.configure("warning", stream))
    events.jobs_settled("unsure", "filtered", "pre_queue", 5)
    events.jobs_settled("unsure", "delivered", "", 5)
    assert stream.getvalue() == ""
    events.jobs_settled("unsure", "dropped", "no_output", 2)
    events.jobs_settled("unsure", "dead", "key_invalid", 1)
    dropped, dead = stream.getvalue().splitlines()
    assert '"jobs dropped"' in dropped
    assert '"jobs dead-lettered"' in dead


def test_an_engine_that_cannot_start_is_told_from_one_that_died() -> None:
    stream = io.StringIO()
    events = Events(logs.configure("info", stream))
    events.engine_refused(ConfigurationError(Problem("cannot be read", file="keys.yaml")))
    events.engine_died(CANNOT_START, 0.1)
    events.engine_died(-9, 0.1)
    why, refused, died = stream.getvalue().splitlines()
    assert "keys.yaml: cannot be read" in why
    assert "engine cannot start like this, predictions go on" in refused
    assert "engine died, predictions go on" in died
