"""`sidecar record`: a bounded sample of what passes a running sidecar, redacted, as a file of our JSONL."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sidecar.cli.asking import ask
from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.kit.sizes import parse_bytes, parse_seconds
from sidecar.settings import Settings

LOOK_SECONDS = 0.25


def record(settings: Settings, given: argparse.Namespace) -> int:
    """Record until there are as many as asked or time is up; Ctrl-C ends it early. Exit 1 when no sidecar does it."""
    wish, target = _wish(given), Path(given.to)
    target.touch(mode=0o600)  # before anything is copied: a place that cannot be written ends it here
    try:
        ask(settings, "POST", "/v1/record", wish)
        try:
            with contextlib.suppress(KeyboardInterrupt):  # what is there until now is what was asked for
                _wait(settings, given.count)
            target.write_bytes(ask(settings, "GET", "/v1/record/exchanges"))
        finally:
            ask(settings, "DELETE", "/v1/record")
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    with target.open("rb") as file:
        sys.stdout.write(f"{sum(1 for _ in file):,} exchanges in {target}\n")
    return 0


def _wish(given: argparse.Namespace) -> dict[str, Any]:
    """Raises ConfigurationError."""
    wish: dict[str, Any] = {"model": given.model, "version": given.version, "caller": given.caller}
    wish |= {"count": given.count, "sample_exchanges": given.sample}
    try:
        wish |= {"seconds": parse_seconds(given.for_), "size_bytes": parse_bytes(given.bytes)}
        if given.redact:
            wish["redact"] = yaml.safe_load(given.redact)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(Problem(str(error))) from error
    return wish


def _wait(settings: Settings, count: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("recorded", total=count)
        while True:
            status = json.loads(ask(settings, "GET", "/v1/record"))
            progress.update(bar, completed=status.get("kept", 0))
            if not status["recording"] or status["seen"] >= count:
                return
            time.sleep(LOOK_SECONDS)
