"""What is wrong among policies: graphs that cannot run, destinations that are none, workflows that are not there.

Pure, and knows neither operators nor destinations: both judgements are handed in. Also says which rows a folder's
policies leave behind once what is broken keeps its last good version.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from sidecar.collector import Collector, Destination, ManagedBy, RedactRule, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.model_server import ModelServer
from sidecar.policy.files import Loaded

Key = tuple[str, str, str]
"""(user, app, id)."""
PolicyT = TypeVar("PolicyT", Collector, Workflow)

_PLACES = frozenset(("env", "file"))
_NOT_OVER_HTTP = (
    "only a policy file may name an environment variable or a file: else whoever may write collectors could read them. "
    "Give the reference of a stored secret, key-…"
)


@dataclass(frozen=True, slots=True)
class Judges:
    """What this folder cannot know itself. Each raises ConfigurationError with all that is wrong."""

    workflow: Callable[[Workflow], object]
    destination: Callable[[Destination], object]
    after_queue: Callable[[Workflow], object] = lambda _: None
    """Of a workflow that a collector names as its post-queue one."""
    redact: Callable[[Sequence[RedactRule]], object] = lambda _: None
    """Of a collector's rules."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All policies at one moment."""

    collectors: tuple[Collector, ...] = ()
    workflows: Mapping[Key, Workflow] = field(default_factory=dict)


def key_of(policy: Collector | Workflow) -> Key:
    return (policy.user_id, policy.app_id, policy.id)


def problems_of_workflow(workflow: Workflow, judges: Judges, where: str = "workflow") -> list[Problem]:
    """Why `workflow` cannot run."""
    problems = _judged(lambda: judges.workflow(workflow), where, workflow.origin)
    return [dataclasses.replace(problem, code="graph") for problem in problems]


def problems_of_collector(
    collector: Collector, workflows: Mapping[Key, Workflow], judges: Judges, where: str = "collector"
) -> list[Problem]:
    """What `collector` names and is not there, or cannot be used."""
    problems = _problems_of_destinations(collector, judges, f"{where}.destination")
    problems += _judged(lambda: judges.redact(collector.redact), where, collector.origin)
    for name in ("pre_queue_workflow_id", "post_queue_workflow_id"):
        wanted = getattr(collector, name)
        if wanted and (collector.user_id, collector.app_id, wanted) not in workflows:
            message = _no_workflow(wanted, collector, workflows)
            problems.append(Problem(message, f"{where}.{name}", collector.origin, code="no_workflow"))
    after = workflows.get((collector.user_id, collector.app_id, collector.post_queue_workflow_id))
    return problems + (_judged(lambda: judges.after_queue(after), where, collector.origin) if after else [])


def _places(value: object, where: str) -> Iterator[str]:
    """The paths below `where` at which a secret is named by its place, `{env: NAME}` or `{file: PATH}`."""
    if isinstance(value, Mapping):
        if value.keys() & _PLACES and value.keys() <= _PLACES | {"stored"}:
            yield where
        for name, inner in value.items():
            yield from _places(inner, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _places(inner, f"{where}[{index}]")


def _problems_of_destinations(collector: Collector, judges: Judges, where: str) -> list[Problem]:
    several = len(collector.destinations) > 1
    problems: list[Problem] = []
    for index, each in enumerate(collector.destinations):
        place = f"{where}[{index}]" if several else where
        problems += _judged(partial(judges.destination, each), place, collector.origin)
        if collector.managed_by is ManagedBy.API:
            found = _places(each.options, f"{place}.{each.kind}")
            problems += [Problem(_NOT_OVER_HTTP, path) for path in found]
    return problems


def _judged(judge: Callable[[], object], where: str, file: str) -> list[Problem]:
    try:
        judge()
    except ConfigurationError as error:
        return [dataclasses.replace(each, field=_below(where, each.field), file=file) for each in error.problems]
    return []


def _below(where: str, field: str) -> str:
    """`field`, as a judge names it, below `where`: `nodes[0]`, `workflow.nodes[0]` and blank are all taken."""
    head = where.rpartition(".")[2].partition("[")[0].rstrip("s")
    rest = field.removeprefix(head)
    if rest != field and (not rest or rest[0] in ".["):
        return where + rest
    return f"{where}.{field}" if field else where


def _no_workflow(wanted: str, collector: Collector, workflows: Mapping[Key, Workflow]) -> str:
    own = [key[2] for key in workflows if key[:2] == (collector.user_id, collector.app_id)]
    near = difflib.get_close_matches(wanted, own, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(own)}" if own else "there is none"
    return f"no workflow {wanted!r} in app {collector.user_id}/{collector.app_id}: {hint}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the catalog holds after a load, and every problem on the way."""

    collectors: tuple[Collector, ...]
    workflows: tuple[Workflow, ...]
    problems: tuple[Problem, ...]


def settle(loaded: Loaded, now: Snapshot, judges: Judges) -> Outcome:
    """What holds once `loaded` replaces the file-managed half of `now`.

    A file with a problem keeps the last good version of what it gave, and a workflow that a collector still needs
    stays though its file is gone. What the API made under the same id stays, and the file is told so.
    """
    made_by_api = Snapshot(
        tuple(each for each in now.collectors if each.managed_by is ManagedBy.API),
        {key: each for key, each in now.workflows.items() if each.managed_by is ManagedBy.API},
    )
    loaded = loaded.without(_taken(loaded, made_by_api))
    loaded = loaded.without([p for each in loaded.workflows for p in problems_of_workflow(each, judges)])
    old_workflows = [each for each in now.workflows.values() if each.managed_by is ManagedBy.FILE]
    workflows = [*loaded.workflows, *_kept(loaded, loaded.workflows, old_workflows)]
    known = {**made_by_api.workflows, **{key_of(each): each for each in workflows}}
    loaded = loaded.without([p for each in loaded.collectors for p in problems_of_collector(each, known, judges)])
    old_collectors = [each for each in now.collectors if each.managed_by is ManagedBy.FILE]
    collectors = [*loaded.collectors, *_kept(loaded, loaded.collectors, old_collectors)]
    missing = _still_needed([*collectors, *made_by_api.collectors], known, old_workflows)
    problems = [*loaded.problems, *(_gone(each) for each in missing if each.origin not in loaded.files)]
    return Outcome(tuple(collectors), tuple(workflows + missing), tuple(problems))


def models_taken(loaded: Loaded, ids: Collection[str]) -> list[Problem]:
    """The files whose model has one of `ids`, which the setting `models` has given away."""
    message = "{!r} is in the setting `models` already: choose another id, or take it out there"
    return [Problem(message.format(each.id), "model.id", each.origin) for each in loaded.models if each.id in ids]


def settle_models(loaded: Loaded, old: Iterable[ModelServer]) -> tuple[ModelServer, ...]:
    """The model servers once `loaded` replaces `old`: a broken file keeps its last good version."""
    broken = {problem.file for problem in loaded.problems}
    new = {each.id for each in loaded.models}
    return (*loaded.models, *(each for each in old if each.origin in broken and each.id not in new))


def _taken(loaded: Loaded, made_by_api: Snapshot) -> list[Problem]:
    collectors = {key_of(each) for each in made_by_api.collectors}
    message = "{!r} was made through the admin API, which stays: delete it there, or choose another id"
    return [
        Problem(message.format(each.id), f"{kind}.id", each.origin)
        for kind, policies, taken in (
            ("collector", loaded.collectors, collectors),
            ("workflow", loaded.workflows, made_by_api.workflows.keys()),
        )
        for each in policies
        if key_of(each) in taken
    ]


def _kept(loaded: Loaded, new: Sequence[PolicyT], old: Iterable[PolicyT]) -> list[PolicyT]:
    """The last good versions of what files that are broken now gave before."""
    broken = {problem.file for problem in loaded.problems}
    replaced = {key_of(each) for each in new}
    return [each for each in old if each.origin in broken and key_of(each) not in replaced]


def _still_needed(
    collectors: Iterable[Collector], known: Mapping[Key, Workflow], old: Iterable[Workflow]
) -> list[Workflow]:
    names = {
        (each.user_id, each.app_id, name)
        for each in collectors
        for name in (each.pre_queue_workflow_id, each.post_queue_workflow_id)
        if name
    }
    return [each for each in old if key_of(each) in names and key_of(each) not in known]


def _gone(workflow: Workflow) -> Problem:
    message = f"the file is gone, but a collector still uses workflow {workflow.id!r}: its last version stays"
    return Problem(message, "workflow", workflow.origin)
