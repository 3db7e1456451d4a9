"""What a back-test found, as JSON: what `--json` prints, what the admin API answers, what the tables are made from."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.backtest.comparison import Comparison
from sidecar.backtest.trial import Trial
from sidecar.data import Json
from sidecar.errors import Problem
from sidecar.pipeline.candidate import MODEL_FAILED

DAY_SECONDS = 86_400.0
SHOWN = 20
"""Callers and classes that are listed, those with the most kept."""
PROBLEMS = 10


def report(comparison: Comparison, problems: Sequence[Problem], problem_count: int) -> Json:
    """The whole answer. `problems` are the first of `problem_count`."""
    comparison.finish()
    found = trial_report(comparison.trial)
    found["unreadable"] = {"count": problem_count, "first": [str(problem) for problem in problems[:PROBLEMS]]}
    if comparison.other is not None:
        found["against"] = trial_report(comparison.other)
        found["comparison"] = comparison.to_json()
    return found


def trial_report(trial: Trial) -> Json:
    """One policy's counts: matched = kept + filtered + dropped + unknown."""
    exchanges = {name: trial.exchanges[name] for name in ("read", "unwanted", "not_sampled", "matched", "assumed")}
    return {
        "collector": trial.policy.key,
        "exchanges": exchanges,
        "inputs": {
            "matched": trial.matched,
            "kept": trial.kept,
            "filtered": _filtered(trial),
            "dropped": _reasons(trial),
            "unknown": trial.ends["unknown", ""],
        },
        "nodes": _nodes(trial),
        "classes": _most(trial.kept_classes.counts),
        "callers": {
            name: {"matched": count, "kept": trial.kept_callers.counts[name]}
            for name, count in _most(trial.callers.counts).items()
        },
        "span_seconds": trial.last_at - trial.first_at,
        "kept_per_day": _per_day(trial),
    }


def _filtered(trial: Trial) -> Json:
    failures = () if trial.policy.collector.collect_failures else (MODEL_FAILED,)
    return {reason: trial.ends["filtered", reason] for reason in (*failures, "pre_queue", "post_queue")}


def _reasons(trial: Trial) -> Json:
    return {
        reason: {"count": count, "detail": trial.details.get(reason, "")}
        for (kind, reason), count in sorted(trial.ends.items())
        if kind == "dropped"
    }


def _nodes(trial: Trial) -> list[Json]:
    nodes: list[Json] = []
    share = trial.policy.collector.pre_queue_random_sample
    if share is not None:
        looked_at = trial.matched - trial.ends["filtered", MODEL_FAILED]
        sampled = {"in": looked_at, "out": looked_at - trial.sampled_out, "filtered": trial.sampled_out}
        name = "pre_queue_random_sample"
        nodes.append({"workflow": "", "node": name, "operator": name, **sampled, "failed": 0, "unknown": 0})
    for watched in (trial.pre_queue, trial.post_queue):
        nodes += [count.to_json() for count in watched.counts] if watched else []
    return nodes


def _most(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:SHOWN])


def _per_day(trial: Trial) -> float | None:
    """How many inputs a day would be kept of traffic like this; None where the record covers no time."""
    span = trial.last_at - trial.first_at
    return trial.kept_weight * DAY_SECONDS / span if span > 0 else None
