"""What commands take besides settings. Imports nothing heavy: every command's parser is made at each start."""

from __future__ import annotations

import argparse

ASKED = 100
"""How often a back-test asks models at most, unless said."""


def add_backtest(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar backtest`."""
    command.add_argument("policy", metavar="POLICY", help="a collector's file, or its id in --policies")
    where = "record files, or what a sidecar has in its --data: the jobs in its queue, the inputs in its app"
    command.add_argument("--on", required=True, metavar="FILE|FOLDER|queue|app", help=where)
    command.add_argument("--against", metavar="POLICY", help="another collector, to compare with")
    command.add_argument("--limit", type=positive, metavar="N", help="take the first N exchanges only")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    asked = f"really ask the models that nodes name, N times at most [{ASKED}]; otherwise none is asked"
    command.add_argument("--ask-models", type=positive, nargs="?", const=ASKED, metavar="N", help=asked)


def add_record(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar record`."""
    command.add_argument("--to", required=True, metavar="FILE", help="where the exchanges go, a line of JSON each")
    command.add_argument("--model", default="", metavar="NAME", help="one model's calls only; otherwise all of them")
    command.add_argument("--version-of-model", dest="version", default="", metavar="NAME", help="one version only")
    command.add_argument("--caller", default="", metavar="NAME", help="one caller only")
    command.add_argument("--count", type=positive, default=1000, metavar="N", help="how many exchanges [1000]")
    command.add_argument("--for", dest="for_", default="10m", metavar="TIME", help="for how long at most [10m]")
    command.add_argument("--bytes", default="16MiB", metavar="SIZE", help="how much memory it may take [16MiB]")
    text = "fraction of exchanges to copy, above 0 and at most 1 [1]"
    command.add_argument("--sample", type=float, default=1.0, metavar="FRACTION", help=text)
    text = "rules as a collector's `redact` has them, such as '[{detect: [email]}]'; those of collectors hold anyway"
    command.add_argument("--redact", default="", metavar="RULES", help=text)


def add_keys(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar keys`."""
    actions = ("create", "list", "rotate", "revoke")
    command.add_argument("action", metavar="ACTION", choices=actions, help=", ".join(actions))
    command.add_argument("key", metavar="KEY", nargs="?", default="", help="the id of the key to rotate or revoke")
    command.add_argument("--name", metavar="TEXT", help="who uses the key that is made")
    text = "what it may do, separated by commas: read, write, inputs [read]"
    command.add_argument("--scopes", metavar="SCOPES", default="read", help=text)


def add_collectors(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar collectors`."""
    actions = ("list", "show", "export", "apply", "diff", "activate", "deactivate", "delete")
    command.add_argument("action", metavar="ACTION", choices=actions, help=", ".join(actions))
    text = "ids of collectors; for apply and diff, policy files or folders of them"
    command.add_argument("names", metavar="NAME", nargs="*", help=text)
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    command.add_argument("--to", metavar="FOLDER", help="where export writes a file for each policy of the API")
    command.add_argument("--user", default="local", metavar="ID", help="whose app [local]")
    command.add_argument("--app", default="main", metavar="ID", help="the app whose collectors they are [main]")


def add_jobs(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar jobs`."""
    actions = ("list", "show", "retry", "discard")
    command.add_argument("action", metavar="ACTION", choices=actions, help=", ".join(actions))
    command.add_argument(
        "names", metavar="ID", nargs="*", help="the id of a job to show, or of dead ones to retry or discard"
    )
    command.add_argument("--state", choices=("queued", "leased", "dead"), help="retry and discard take dead ones only")
    command.add_argument("--collector", metavar="KEY", help="one collector's only")
    command.add_argument("--destination", metavar="NAME", help="as they stand with one destination only")
    command.add_argument("--reason", metavar="NAME", help="why they wait or are dead")
    command.add_argument("--since", metavar="TIME", help="made at that time or later: RFC 3339")
    command.add_argument("--until", metavar="TIME", help="made before that time")
    command.add_argument("--limit", type=int, metavar="N", help="how many are listed, the newest [1000]")
    command.add_argument("--all", action="store_true", help="list every one; retry or discard every dead one")
    command.add_argument("--dry-run", action="store_true", help="say how many it would be, and do nothing")


def add_export(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar export`."""
    command.add_argument("source", choices=("app", "queue"), help="the inputs in the app, or the jobs in the queue")
    command.add_argument(
        "--to",
        required=True,
        metavar="FILE",
        help="where they go, - for standard output; takes the place of what is there",
    )
    command.add_argument("--collector", default="", metavar="KEY", help="one collector's only")
    text = "exchange, our JSONL in one file; or a folder of sagemaker, azure, azure-csv or parquet files [exchange]"
    command.add_argument("--format", default="exchange", metavar="NAME", help=text)


def add_import(command: argparse.ArgumentParser) -> None:
    """The options of `sidecar import`."""
    text = "record files, or folders of them: ours, SageMaker's capture, Azure's collection, HAR; each also .gz"
    command.add_argument("files", nargs="+", metavar="FILE|FOLDER", help=text)
    command.add_argument(
        "--app", default="local/main", metavar="USER/APP", help="whose inputs they become [local/main]"
    )


def positive(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)
