"""`sidecar check`: settings and policies, every fault at once with file and line. Starts and changes nothing."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from rich.console import Console
from rich.table import Table

from sidecar.app.expiry import ending_certificates
from sidecar.capture.caller import read_keys
from sidecar.collector import Collector, Workflow
from sidecar.delivery.registry import check_options
from sidecar.errors import ConfigurationError, Problem
from sidecar.pipeline.credentials import problems_of_secrets
from sidecar.pipeline.models import check_after_queue, check_server, check_workflow
from sidecar.pipeline.operators import open_operators
from sidecar.policy.checks import Judges, Outcome, Snapshot, models_taken, settle
from sidecar.policy.files import read_folder
from sidecar.proxy.certificates import check_certificates
from sidecar.settings import Settings, read
from sidecar.workflow.operators.registry import Operators

EXIT_FAULTS = 2


def check(options: Mapping[str, str], environment: Mapping[str, str]) -> int:
    """Print what was found; exit 0 when it is all good, 2 when anything is not."""
    settings, problems = read(options, environment)
    problems += _problems_of(settings)
    outcome = Outcome((), (), ())
    operators, broken = open_operators(settings.policies)
    problems.extend(broken)
    try:
        outcome = _policies(settings, operators)
    except ConfigurationError as error:
        problems.extend(error.problems)
    problems.extend(outcome.problems)
    for problem in sorted(problems, key=_place):
        sys.stderr.write(f"{problem}\n")
    for problem in ending_certificates(settings, datetime.datetime.now(datetime.UTC)):
        sys.stderr.write(f"warning: {problem}\n")
    if problems:
        sys.stderr.write(f"{len(problems)} fault{'s' if len(problems) > 1 else ''}\n")
        return EXIT_FAULTS
    console = Console()
    console.print(_table(outcome.collectors, outcome.workflows))
    return 0


def _place(problem: Problem) -> tuple[str, int]:
    return problem.file, problem.line


def _problems_of(settings: Settings) -> list[Problem]:
    """Faults that show only once a setting is looked into."""
    problems: list[Problem] = []
    looks: list[Callable[[], object]] = [partial(check_server, server) for server in settings.models]
    looks.append(partial(check_certificates, settings))
    if settings.keys is not None:
        looks.append(partial(read_keys, settings.keys))
    if settings.policies != Settings().policies and not settings.policies.is_dir():
        problems.append(Problem(f"{settings.policies} is no folder: make it or name another", field="--policies"))
    for look in looks:
        try:
            look()
        except ConfigurationError as error:
            problems.extend(error.problems)
    return problems


def _policies(settings: Settings, operators: Operators) -> Outcome:
    loaded = read_folder(settings.policies)
    loaded = loaded.without(models_taken(loaded, {server.id for server in settings.models}))
    servers = (*settings.models, *loaded.models)
    judges = Judges(
        lambda workflow: check_workflow(workflow, servers, operators),
        check_options,
        partial(check_after_queue, operators=operators),
        operators.detectors.check,
    )
    outcome = settle(loaded, Snapshot(), judges)
    missing = tuple(loaded.locate(problem) for problem in problems_of_secrets(loaded.models))
    return replace(outcome, problems=outcome.problems + missing)


def _table(collectors: tuple[Collector, ...], workflows: tuple[Workflow, ...]) -> Table:
    title = f"{len(collectors)} collectors, {len(workflows)} workflows, no fault"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("collector", "state", "source", "caller", "pre-queue", "post-queue", "posts to"):
        table.add_column(name, overflow="fold")
    for each in collectors:
        sampled = "" if each.pre_queue_random_sample is None else f"{each.pre_queue_random_sample:.0%}"
        table.add_row(
            each.key,
            "active" if each.is_active else "inactive",
            f"{each.source.model_id}:{each.source.model_version_id or '*'}",
            each.source.caller_user_id or "any",
            " + ".join(filter(None, (sampled, each.pre_queue_workflow_id))) or "–",
            each.post_queue_workflow_id or "–",
            ", ".join(destination.name for destination in each.destinations),
        )
    return table
