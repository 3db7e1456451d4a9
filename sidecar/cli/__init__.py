"""The command line: one small file a command, imported only when it is asked for, so that the relay stays small."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from sidecar import __version__, settings
from sidecar.cli import options
from sidecar.errors import ConfigurationError
from sidecar.events import CANNOT_START, Events
from sidecar.kit import logs
from sidecar.kit.turns import Turns

EXIT_CONFIGURATION = CANNOT_START
_WITH_OPTIONS = {
    "backtest": ("backtest", "backtest"),
    "collectors": ("collectors", "collectors"),
    "export": ("exporting", "export"),
    "import": ("importing", "import_records"),
    "jobs": ("jobs", "jobs"),
    "keys": ("keys", "keys"),
    "record": ("record", "record"),
}
"""The commands that take settings and options of their own: the module beside this one, and its function."""
_CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the process's exit code."""
    given = _given(arguments)
    try:
        return _run(given.command, given)
    except ConfigurationError as error:
        _refuse(given.command, error)
        return EXIT_CONFIGURATION
    except OSError as error:
        if not _is_of_surroundings(error):
            raise
        _refuse(given.command, ConfigurationError(_said(error)))
        return EXIT_CONFIGURATION
    except KeyboardInterrupt:
        return 130


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if "names" in given and not any(word.startswith("-") for word in rest):
        given.names += rest  # argparse takes none of them once an option stood before the first
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return given


def _run(command: str, given: argparse.Namespace) -> int:
    # each command's modules are imported here and not above: `run` is the relay and must not carry what others need
    if command == "run":
        from sidecar.app.relay import run_relay

        return run_relay(_options(given), os.environ)
    if command == "relay":
        from sidecar.app.worker import run_worker
        from sidecar.proxy.workers import Inheritance

        inherited = Inheritance(given.number, given.listen_fds, given.counts_fd, given.engine_fd)
        return run_worker(_load(given), inherited)
    if command == "engine":
        with Turns().offered_by_timer():  # half a second of a processor, which one that was killed needs again
            from sidecar.app.engine import run_engine

        return run_engine(_load(given), given.link_fd)
    if command == "check":
        from sidecar.cli.check import check

        return check(_options(given), os.environ)
    if command == "status":
        from sidecar.cli.status import status

        return status(_load(given))
    if command in _WITH_OPTIONS:
        module, function = _WITH_OPTIONS[command]
        return int(getattr(importlib.import_module(f"sidecar.cli.{module}"), function)(_load(given), given))
    from sidecar.cli.demo import run_demo

    return run_demo(once=given.once)


def _is_of_surroundings(error: OSError) -> bool:
    """True for an address or a file that cannot be had: a person can mend that, and needs no stack for it."""
    return bool(error.filename) or error.errno in _CANNOT_LISTEN


def _said(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else f"cannot listen: {what}"


def _refuse(command: str, error: ConfigurationError) -> None:
    if command == "engine":  # what reads the relay's log reads the engine's too, and may be a machine
        Events(logs.configure("error", process="engine")).engine_refused(error)
    else:
        sys.stderr.writelines(f"sidecar: {problem}\n" for problem in error.problems)


def _options(given: argparse.Namespace) -> dict[str, str]:
    """The settings that were given on the command line, by field name."""
    return {row.name: value for row in settings.rows() if (value := getattr(given, row.name, None)) is not None}


def _load(given: argparse.Namespace) -> settings.Settings:
    environment: Mapping[str, str] = os.environ
    return settings.load(_options(given), environment)


_OWN_OPTIONS: tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None]], ...] = (
    ("backtest", "show what a policy would have kept of recorded exchanges", options.add_backtest),
    ("record", "keep a bounded sample of what passes a running sidecar, for back-tests", options.add_record),
    ("export", "write what a sidecar has kept into a file", options.add_export),
    ("import", "bring recorded inputs into a running sidecar's app, each once", options.add_import),
    (
        "collectors",
        "see, export, apply, compare, pause and delete a running sidecar's collectors",
        options.add_collectors,
    ),
    ("jobs", "see a running sidecar's jobs, try dead ones again or give them up", options.add_jobs),
    ("keys", "make, list, rotate and revoke keys of a running sidecar's admin API", options.add_keys),
)
"""Commands that have options besides the settings: name, what it does, and who adds those."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sidecar", description="Collects the inputs of models in production.")
    parser.add_argument("--version", action="version", version=f"sidecar {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("run", "stand between clients and a model server, and collect"),
        ("check", "read settings and policies, show every fault with file and line"),
        ("status", "show the ledger of a running sidecar"),
    ):
        _add_settings(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    for name, text, add_own in _OWN_OPTIONS:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add_own(command)
        _add_settings(command)
    demo = commands.add_parser("demo", help="see it work: a real model, real traffic, a collector, a page")
    demo.add_argument("--once", action="store_true", help="end by itself; exit 0 when everything is accounted for")
    # the first relay's children: without help, they are not listed
    engine = commands.add_parser("engine")
    engine.add_argument("--link-fd", type=int, required=True)
    relay = commands.add_parser("relay")
    for name in ("--number", "--counts-fd", "--engine-fd"):
        relay.add_argument(name, type=int, required=True)
    relay.add_argument("--listen-fds", type=_descriptors, required=True)
    return parser


def _descriptors(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _add_settings(command: argparse.ArgumentParser) -> None:
    for row in settings.rows():
        default = f" [{row.default}]" if row.default else ""
        text = f"{row.help}{default} ({row.variable})".replace("%", "%%")
        command.add_argument(row.option, dest=row.name, metavar="VALUE", help=text)
