"""`sidecar collectors apply` and `diff`: policy files against what a running sidecar has.

Reads the files first and names every fault with file and line; asks for a change only once all are good. Each app's
workflows are made before the collectors that name them, each request whole or not at all.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sidecar.cli import running
from sidecar.cli.policies import Json, Policy, Step, kind_of, step_to, to_wire
from sidecar.collector import Collector, Workflow
from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.policy.files import policy_files, read_files
from sidecar.settings import Settings

_ORDER = ("workflow", "collector")
_SAID = {"add": "added", "change": "changed", "keep": "as it was"}
_WOULD = {"add": "would be added", "change": "would be changed", "keep": "is the same"}


def apply(settings: Settings, paths: Sequence[str], *, is_dry: bool) -> int:
    """Make a running sidecar have what the files say; what no file names stays. Gives the exit code."""
    steps = _steps(settings, paths)
    if is_dry:
        _judge(settings, [step.policy for step in steps if step.action != "keep"])
    else:
        for action, act in (("add", running.add), ("change", running.change)):
            for group in _groups(step.policy for step in steps if step.action == action):
                act(settings, group)
    said = _WOULD if is_dry else _SAID
    for step in steps:
        sys.stdout.write(f"{step.kind} {step.policy.id} {said[step.action]}\n")
    return 0


def diff(settings: Settings, paths: Sequence[str]) -> int:
    """Show what `apply` would change, as a unified diff; exit 1 when there is anything."""
    differences = [step.difference for step in _steps(settings, paths) if step.difference]
    sys.stdout.write("".join(differences))
    return 1 if differences else 0


def _steps(settings: Settings, paths: Sequence[str]) -> list[Step]:
    wanted = _read(paths)
    there: dict[tuple[str, str, str, str], running.Found] = {}
    for app in dict.fromkeys((each.user_id, each.app_id) for each in wanted):
        for kind in _ORDER:
            for found in running.list_policies(settings, kind, app):
                there[kind, *app, found.policy.id] = found
    steps = []
    for policy in wanted:
        found_there = there.get((kind_of(policy), policy.user_id, policy.app_id, policy.id))
        step = step_to(policy, found_there.policy if found_there else None)
        if found_there and found_there.managed_by == "file" and step.action != "keep":
            message = f"is managed_by: file: change {found_there.origin} instead"
            raise SidecarError(f"{policy.origin}: {kind_of(policy)} {policy.id} {message}")
        steps.append(step)
    return steps


def _judge(settings: Settings, policies: Sequence[Policy]) -> None:
    """Have the running sidecar judge what would be sent, and change nothing. Raises ConfigurationError."""
    problems: list[Problem] = []
    for app in dict.fromkeys((each.user_id, each.app_id) for each in policies):
        own = [each for each in policies if (each.user_id, each.app_id) == app]
        workflows = [each for each in own if isinstance(each, Workflow)]
        texts = [json.dumps(to_wire(each)) for each in workflows]
        body = {"workflows": texts, "user_app_id": {"user_id": app[0], "app_id": app[1]}}
        said = running.asked(settings, "POST", "/v1/check", body)["problems"]
        problems += [_problem(each, workflows[_index(each["in"])]) for each in said]
        for collector in (each for each in own if isinstance(each, Collector)):
            said = running.asked(settings, "POST", "/v1/check", body | {"collector": to_wire(collector)})["problems"]
            problems += [_problem(each, collector) for each in said if each["in"] == "collector"]
    if problems:
        raise ConfigurationError(problems)


def _index(place: str) -> int:
    """`workflows[2]` → 2."""
    return int(place.partition("[")[2].rstrip("]"))


def _problem(said: Json, policy: Policy) -> Problem:
    return Problem(said["message"], f"{kind_of(policy)}.{said['field']}", policy.origin)


def _read(paths: Sequence[str]) -> list[Policy]:
    """The policies in files and folders. Raises ConfigurationError."""
    names: list[Path] = []
    for path in map(Path, paths):
        names += policy_files(path) if path.is_dir() else [path]
    loaded = read_files(names)
    problems = list(loaded.problems)
    problems += [
        Problem("a model server is a file of the sidecar's own folder", "model", each.origin) for each in loaded.models
    ]
    if not names:
        problems.append(Problem(f"no policy file in {', '.join(paths)}"))
    if problems:
        raise ConfigurationError(problems)
    policies: list[Policy] = [*loaded.workflows, *loaded.collectors]
    return policies


def _groups(policies: Iterable[Policy]) -> list[list[Policy]]:
    """Those that go in one request: of one kind and app, workflows first."""

    def place(policy: Policy) -> tuple[int, str, str]:
        return (_ORDER.index(kind_of(policy)), policy.user_id, policy.app_id)

    return [list(group) for _, group in itertools.groupby(sorted(policies, key=place), key=place)]
