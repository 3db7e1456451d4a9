"""`sidecar collectors`: see and change the collectors of a running sidecar, over its admin API."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sidecar.cli import running
from sidecar.cli.applying import apply, diff
from sidecar.cli.policies import Policy, file_name, named_workflows, to_yaml
from sidecar.collector import Collector, Workflow
from sidecar.errors import ConfigurationError, NotFoundError, Problem, SidecarError
from sidecar.kit.files import write_whole
from sidecar.policy.destination_shape import read_destinations
from sidecar.settings import Settings

_MODE = 0o644
_WANT_NAMES = {
    "show": "the id of one",
    "apply": "files or folders of policies",
    "diff": "files or folders of policies",
    "activate": "ids",
    "deactivate": "ids",
    "delete": "ids",
}
_CHANGING = ("apply", "export", "activate", "deactivate", "delete")


def collectors(settings: Settings, given: argparse.Namespace) -> int:
    """Exit 0 when it is done, 1 when no sidecar does it or `diff` finds something. Raises ConfigurationError."""
    _refuse_needless(given)
    try:
        if given.action == "apply":
            return apply(settings, given.names, is_dry=given.dry_run)
        if given.action == "diff":
            return diff(settings, given.names)
        _DOING[given.action](settings, given)
    except ConfigurationError:
        raise
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    return 0


def _refuse_needless(given: argparse.Namespace) -> None:
    """Raises ConfigurationError where something is missing or too much."""
    wanted = _WANT_NAMES.get(given.action, "")
    if wanted and not given.names:
        raise ConfigurationError(Problem(f"is missing: {given.action} wants {wanted}", field="NAME"))
    if (given.action == "list" and given.names) or (given.action == "show" and len(given.names) > 1):
        raise ConfigurationError(Problem(f"{given.action} takes {wanted or 'none'}", field="NAME"))
    if (given.to is not None) != (given.action == "export"):
        message = "is missing: the folder to write to" if given.to is None else "is for export alone"
        raise ConfigurationError(Problem(message, field="--to"))
    if given.dry_run and given.action not in _CHANGING:
        raise ConfigurationError(Problem(f"{given.action} changes nothing", field="--dry-run"))


def _list(settings: Settings, given: argparse.Namespace) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("collector", "state", "source", "caller", "pre-queue", "post-queue", "posts to", "managed by"):
        table.add_column(name, overflow="fold")
    for wire in running.asked(settings, "GET", "/v1/collectors")["collectors"]:
        if (wire["user_id"], wire["app_id"]) == _app(given):
            table.add_row(*_cells(wire))
    Console().print(table)


def _cells(wire: Mapping[str, Any]) -> Iterable[str]:
    source = wire["collector_source"]["api_post_model_outputs_collector_source"]
    sample = wire.get("pre_queue_random_sample")
    before = (f"{sample:.0%}" if sample else "", wire.get("pre_queue_workflow_id", ""))
    return (
        wire["id"],
        "active" if wire["status"]["description"] == "COLLECTOR_ACTIVE" else "inactive",
        f"{source['model_id']}:{source.get('model_version_id') or '*'}",
        source.get("caller_user_id") or "any",
        " + ".join(filter(None, before)) or "–",
        wire.get("post_queue_workflow_id") or "–",
        ", ".join(each.name for each in read_destinations(wire.get("destination") or "app")),
        wire.get("origin") or wire["managed_by"],
    )


def _show(settings: Settings, given: argparse.Namespace) -> None:
    sys.stdout.write(to_yaml(_chosen(settings, given)[0]))


def _export(settings: Settings, given: argparse.Namespace) -> None:
    """Write what the API made, each to a file of its own; none that is there already is touched."""
    chosen = _made_by_api(settings, given)
    folder = Path(given.to)
    files = {folder / file_name(policy): to_yaml(policy) for policy in chosen}
    there = [Problem("is there already: export to another folder", file=str(file)) for file in files if file.exists()]
    if there:
        raise ConfigurationError(there)
    if not given.dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        if not given.dry_run:
            write_whole(file, text.encode(), _MODE)
        sys.stdout.write(f"{file}{' would be written' if given.dry_run else ''}\n")


def _made_by_api(settings: Settings, given: argparse.Namespace) -> list[Policy]:
    """The collectors that are named, with the workflows they run; all of the app's when none is named."""
    found = running.list_policies(settings, "workflow", _app(given))
    workflows = [each.policy for each in found if each.managed_by != "file" and isinstance(each.policy, Workflow)]
    if given.names:
        chosen = _chosen(settings, given)
        return [*named_workflows(chosen, workflows), *chosen]
    listed = running.list_policies(settings, "collector", _app(given))
    return [*workflows, *(each.policy for each in listed if each.managed_by != "file")]


def _chosen(settings: Settings, given: argparse.Namespace) -> list[Collector]:
    """The collectors that are named. Raises NotFoundError."""
    listed = running.list_policies(settings, "collector", _app(given))
    known = {each.policy.id: each.policy for each in listed if isinstance(each.policy, Collector)}
    missing = [name for name in given.names if name not in known]
    if missing:
        raise NotFoundError(f"no collector {', '.join(missing)} in app {'/'.join(_app(given))}")
    return [known[name] for name in dict.fromkeys(given.names)]


def _set_status(settings: Settings, given: argparse.Namespace) -> None:
    state = {"activate": "COLLECTOR_ACTIVE", "deactivate": "COLLECTOR_INACTIVE"}[given.action]
    changes = [{"id": name, "status": {"code": state}} for name in given.names]
    _do(settings, given, "PATCH", {"collectors": changes, "action": "overwrite"})


def _delete(settings: Settings, given: argparse.Namespace) -> None:
    _do(settings, given, "DELETE", {"ids": list(given.names)})


def _do(settings: Settings, given: argparse.Namespace, method: str, body: Mapping[str, Any]) -> None:
    done = {"activate": "active", "deactivate": "inactive", "delete": "deleted"}[given.action]
    if given.dry_run:
        _refuse_managed(settings, given)
    else:
        running.asked(settings, method, running.path_of("collector", _app(given)), body)
    for name in given.names:
        sys.stdout.write(f"collector {name} {'would be' if given.dry_run else 'is'} {done}\n")


def _refuse_managed(settings: Settings, given: argparse.Namespace) -> None:
    """What the sidecar would say. Raises SidecarError."""
    names: Sequence[str] = [each.id for each in _chosen(settings, given)]
    for found in running.list_policies(settings, "collector", _app(given)):
        if found.managed_by == "file" and found.policy.id in names:
            raise SidecarError(f"collector {found.policy.id}: managed_by: file: change {found.origin} instead")


def _app(given: argparse.Namespace) -> running.App:
    return given.user, given.app


_DOING: Mapping[str, Callable[[Settings, argparse.Namespace], None]] = {
    "list": _list,
    "show": _show,
    "export": _export,
    "activate": _set_status,
    "deactivate": _set_status,
    "delete": _delete,
}
