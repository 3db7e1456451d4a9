"""One policy tried on recorded exchanges: the same matching, samples, workflows and redaction as in the engine.

Owns the counts of a trial. Promises that matched = kept + filtered + dropped + unknown, and that a verdict is the
running sidecar's, with three exceptions that it counts or says: a model that is not asked leaves its input `unknown`;
an exchange whose record names no model is taken for one that the policy watches; what was redacted in the record stays
so. Memories begin empty, and time is the exchange's. Whether the collector is active does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sidecar.backtest.watched import WatchedGraph, watch
from sidecar.collector import Workflow
from sidecar.data import Data
from sidecar.errors import SidecarError, TransientError
from sidecar.kit.ids import fraction_of_id
from sidecar.memory import Change
from sidecar.pipeline.candidate import NOT_ANSWERED, RedactedItem, is_left_out, is_sampled, model_failed, reason_of
from sidecar.pipeline.models import refusal_of
from sidecar.pipeline.plan import Plan
from sidecar.records.recorded import Recorded
from sidecar.redaction.detectors import UnredactableError
from sidecar.redaction.rules import Redaction
from sidecar.workflow.graph import Default
from sidecar.workflow.run import Dropped, Filtered, Item, Kept, ModelRequest, Verdict, run

NAMES = 10_000
"""Callers and classes that are told apart; the rest is counted together."""
OTHERS = "(others)"
ANONYMOUS = "anonymous"
NO_CLASS = "(no concept)"
Ask = Callable[[ModelRequest], Data | None]
"""Gives a model's answer, or None where it is not to be asked. May raise the tree's errors."""


class Unknown(NamedTuple):
    """No verdict: a model would have to be asked."""


class _Candidate(NamedTuple):
    """One input on its way; `item` as its job would have it once it has one."""

    recorded: Recorded
    item: Item
    caller: str


End = Verdict | Unknown
_KEPT = Kept(Data())
_UNKNOWN = Unknown()
_NOT_SAMPLED = Filtered("pre_queue_random_sample")
_POST_FILTERED = Filtered("")
"""This very value: any other is the pre-queue workflow's."""


def _has_failed(given: Data) -> bool:
    return model_failed(given.metadata.get("status"), given.metadata.get("origin"))


def ask_none(_request: ModelRequest) -> None:
    """Asks no model."""


class Names:
    """Counts by name, of a bounded number of names."""

    def __init__(self, most: int = NAMES) -> None:
        self.counts: Counter[str] = Counter()
        self._most = most

    def add(self, name: str) -> None:
        if name not in self.counts and len(self.counts) >= self._most:
            name = OTHERS
        self.counts[name] += 1


class Trial:
    """Takes exchanges, for the one collector in `plan`; its counts can be read at any time."""

    def __init__(self, plan: Plan, workflows: Mapping[str, Workflow], ask: Ask = ask_none) -> None:
        """`workflows`, by id, say what the nodes are called. `plan` holds exactly one collector that can run."""
        (self.policy,) = plan.policies.values()
        self._plan = plan
        self._ask = ask
        names = {name: {n.id: n.model.type_id for n in each.nodes} for name, each in workflows.items()}
        self.pre_queue, self.post_queue = (
            None if graph is None else watch(graph, names.get(graph.id, {}))
            for graph in (self.policy.pre_queue, self.policy.post_queue)
        )
        self.exchanges: Counter[str] = Counter()
        """`read`, of which `unwanted`, `not_sampled`, `matched`; and `assumed`, of those that name no model."""
        self.ends: Counter[tuple[str, str]] = Counter()
        """Inputs by (`kept`, `filtered`, `dropped` or `unknown`; reason)."""
        self.details: dict[str, str] = {}
        """For each reason of a drop, what was said first."""
        self.sampled_out = 0
        """Inputs that `pre_queue_random_sample` left out."""
        self.callers = Names()
        self.kept_callers = Names()
        self.kept_classes = Names()
        self.kept_weight = 0.0
        """The kept, each as many as its record stands for."""
        self.on_kept: Callable[[bytes, int], object] = lambda _id, _index: None
        """Told the exchange's id and the input's index of each that is kept."""
        self._held: dict[str, _Candidate] = {}
        """What a reservoir holds, by the names of its entries."""
        self.first_at = 0.0
        """When the first exchange started, and the last, in seconds since the epoch; 0 where none says."""
        self.last_at = 0.0

    @property
    def holds(self) -> bool:
        """True if a reservoir may tell late what it keeps."""
        return self.policy.pre_queue is not None and self.policy.pre_queue.holds

    @property
    def matched(self) -> int:
        return self.ends.total() + len(self._held)

    @property
    def kept(self) -> int:
        return self.ends["kept", ""]

    def take(self, recorded: Recorded) -> None:
        """Judge an exchange's inputs; `on_kept` is told of what is kept, of what a reservoir holds not before it is
        sure."""
        self._see(recorded)
        if not self._wants(recorded):
            return
        call, key, started_at = recorded.call, self.policy.key, recorded.started_at
        collects_failures = self.policy.collector.collect_failures
        caller = recorded.caller or self.policy.collector.source.caller_user_id or ANONYMOUS
        for place in range(len(call.inputs)):
            self.callers.add(caller)
            try:
                has_failed = not collects_failures and _has_failed(call.inputs[place])
                index = recorded.first_index + place
                of_all = not recorded.first_index  # then each is made when it is looked at
                given, output = (call.inputs, call.outputs) if of_all else (call.inputs[place], call.outputs[place])
                item = Item(recorded.id, index, key, given, output, started_at, model_failed=has_failed)
                self._judge(_Candidate(recorded, item, caller))
            except SidecarError as error:  # found when it is looked at: the record's data is none
                self._count(Dropped("unreadable", str(error)))

    def finish(self) -> None:
        """The record has ended, and so have all windows; safe twice."""
        for name in tuple(self._held):
            self._settle(self._held.pop(name))

    def _see(self, recorded: Recorded) -> None:
        self.exchanges["read"] += 1
        at = recorded.started_at
        if at:
            self.first_at = min(self.first_at or at, at)
            self.last_at = max(self.last_at, at)

    def _wants(self, recorded: Recorded) -> bool:
        """True if the policy looks at the exchange."""
        call = recorded.call
        if not call.model:
            self.exchanges["assumed"] += 1
        elif not self._plan.watching(call.model, call.version, recorded.caller, call.user, call.app).policies:
            self.exchanges["unwanted"] += 1
            return False
        share = self.policy.collector.sample_exchanges
        is_sampled = share >= 1.0 or fraction_of_id(recorded.id) < share
        self.exchanges["matched" if is_sampled else "not_sampled"] += 1
        return is_sampled

    def _judge(self, candidate: _Candidate) -> None:
        """Up to the queue, and through it unless a reservoir holds the input there."""
        item = candidate.item
        if is_left_out(self.policy, item):
            self._count(NOT_ANSWERED)
            return
        if not is_sampled(self.policy, item):
            self.sampled_out += 1
            self._count(_NOT_SAMPLED)
            return
        if self.policy.redaction is not None and (self.policy.asks_a_model or self.policy.redacts_first):
            item = RedactedItem(self.policy.redaction, item)
        end: End = Kept(item.input) if self.pre_queue is None else self._pre_queue(self.pre_queue, item)
        if isinstance(end, Kept) and self.policy.redaction is not None:
            end, item = self._redacted(end, item, self.policy.redaction)
        if isinstance(end, Filtered):
            item.let_go()
        if not isinstance(end, Kept):
            self._count(end)
        elif self.holds:
            self._hold(candidate._replace(item=item), item.changes)
        else:
            self._settle(candidate._replace(item=item))

    def _redacted(self, end: End, item: Item, redaction: Redaction) -> tuple[End, Item]:
        """As its job would have it."""
        redacted = item if isinstance(item, RedactedItem) else RedactedItem(redaction, item)
        try:
            redacted.both()
        except UnredactableError as error:
            item.give_back()
            return Dropped("unredactable", str(error)), item
        redacted.changes = item.changes
        return end, redacted

    def _hold(self, candidate: _Candidate, changes: Sequence[Change]) -> None:
        """Hold the input as its reservoir does; settle those whose window has closed, and count the displaced."""
        for change in changes:
            name = change.entry.name
            if not change.is_forgotten:
                self._held.update({name: candidate} if change.holds else {})
            elif name in self._held:
                gone = self._held.pop(name)
                if change.holds:
                    self._count(_NOT_SAMPLED)
                else:
                    self._settle(gone)

    def _settle(self, candidate: _Candidate) -> None:
        """After the queue."""
        end = _KEPT if self.post_queue is None else self._post_queue(self.post_queue, candidate.item)
        if isinstance(end, Kept):
            self._keep(candidate)
        else:
            self._count(end)

    def _pre_queue(self, watched: WatchedGraph, item: Item) -> End:
        try:
            if isinstance(item, RedactedItem):
                item.both()  # else what cannot be redacted would fail inside a node, under another name
            end = self._run(watched, item, "$output")
        except UnredactableError as error:
            end = Dropped("unredactable", str(error))
        except SidecarError as error:
            end = Dropped("model_unavailable" if isinstance(error, TransientError) else refusal_of(error), str(error))
        if isinstance(end, Dropped | Unknown):
            item.give_back()
        return end

    def _post_queue(self, watched: WatchedGraph, whole: Item) -> End:
        item = Item(
            whole.exchange_id, whole.input_index, whole.collector, whole.input, whole.output, whole.started_at
        )  # fmt: skip
        try:
            end = self._run(watched, item, "$input")
        except TransientError:
            end = _UNKNOWN  # the job would wait
        except SidecarError as error:
            end = Dropped(refusal_of(error), str(error))
        if isinstance(end, Filtered):
            return _POST_FILTERED
        if not isinstance(end, Kept):
            item.give_back()
        return end

    def _run(self, watched: WatchedGraph, item: Item, default: Default) -> End:
        steps = run(watched.graph, item, default)
        try:
            request = next(steps)
            while True:
                answer = self._asked(watched, request)
                if answer is None:
                    steps.close()
                    return _UNKNOWN
                request = steps.send(answer)
        except StopIteration as stopped:
            end: Verdict = stopped.value
            return end

    def _asked(self, watched: WatchedGraph, request: ModelRequest) -> Data | None:
        count = watched.count_of(request)
        count.taken += 1
        try:
            answer = self._ask(request)
        except SidecarError:
            count.failed += 1
            raise
        if answer is None:
            count.unknown += 1
        else:
            count.passed += not answer.is_empty
        return answer

    def _keep(self, candidate: _Candidate) -> None:
        recorded, item, caller = candidate
        output = item.output
        top = None if output is None else output.top_concept()
        self.ends["kept", ""] += 1
        self.kept_callers.add(caller)
        self.kept_classes.add(NO_CLASS if top is None else top.id)
        self.kept_weight += self._weight(recorded)
        self.on_kept(recorded.id, item.input_index)

    def _weight(self, recorded: Recorded) -> float:
        """How many inputs a kept one stands for: what the record left out and this policy would have looked at.

        Exchanges are drawn by their ids alone, so a record of a tenth holds all that a policy of a hundredth draws.
        """
        collector = self.policy.collector
        exchanges, inputs = recorded.sample_exchanges, recorded.sample_inputs
        weight = max(collector.sample_exchanges, exchanges) / exchanges
        if recorded.collector == self.policy.key:  # the same names draw the same inputs again
            share = collector.pre_queue_random_sample
            return weight * max(1.0 if share is None else share, inputs) / inputs
        return weight / inputs

    def _count(self, end: End) -> None:
        if isinstance(end, Dropped):
            self.ends["dropped", end.reason] += 1
            self.details.setdefault(end.reason, self.policy.told(end.detail))
        elif isinstance(end, Filtered):
            self.ends["filtered", "post_queue" if end is _POST_FILTERED else reason_of(end)] += 1
        else:
            self.ends["unknown", ""] += 1
