"""Every happening of the domain: named, logged and counted in this one place.

A drop says whether it was meant: *filtered* is what the policy meant, *dropped* and *lost* are what it did not, each
under a reason. Counter names start with `sidecar_` and carry their unit. Never holds a secret or a captured body: of an
error that is not ours only the type and the place are told, as its text may repeat either.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sidecar.errors import ConfigurationError, Problem, SidecarError
from sidecar.kit.logs import Logger
from sidecar.kit.metrics import Counters

_UNMEANT = {"dropped": "jobs dropped", "dead": "jobs dead-lettered"}
_ASKED_FOR = ("discarded", "collector_deleted")
"""Reasons of drops that somebody asked for: the asking is an event."""
CANNOT_START = 2
"""The engine's exit code when it cannot start as it was told to: trying again helps only once that was changed."""
ENGINE_DEATHS = "sidecar_engine_deaths_total"


def _told(error: BaseException) -> str:
    """What of `error` may stand in a log."""
    return str(error) if isinstance(error, SidecarError | OSError) else type(error).__name__


def _place(error: BaseException) -> str:
    """Where `error` was raised: lines of source, no value."""
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()


class Note(Protocol):
    """Keeps what is worth seeing later; never waits, never raises."""

    def __call__(self, kind: str, subject: str, collector: str = "", **after: Any) -> None: ...  # noqa: ANN401


def _no_note(kind: str, subject: str, collector: str = "", **after: Any) -> None:  # noqa: ANN401 - any JSON
    """Where nothing is kept: in a relay, before the database is open."""


class Events:
    """Says what happened: to the log, to `counters`, and what is worth seeing later to `note`."""

    def __init__(self, log: Logger, counters: Counters | None = None) -> None:
        self._log = log
        self.counters = counters or Counters()
        self.note: Note = _no_note

    # the relay

    def relay_listening(self, address: str, upstream: str) -> None:
        self._log.info("relay listening", address=address, upstream=upstream)

    def upstream_refused(self, upstream: str, error: Exception) -> None:
        self.counters.add("sidecar_upstream_refused_total")
        self._log.warning("model cannot be reached", upstream=upstream, error=str(error))

    def capture_failed(self, where: str, error: BaseException) -> None:
        """A fault of ours in the copy: the reader is off that connection, the bytes go on."""
        self.counters.add("sidecar_capture_failures_total", where=where)
        self._log.error("capture failed, traffic goes on", where=where, error=_told(error), place=_place(error))

    def connection_uncaptured(self, reason: str) -> None:
        """A connection whose bytes pass unread from here on: an upgrade, HTTP/2, what cannot be read."""
        self.counters.add("sidecar_connections_uncaptured_total", reason=reason)
        self._log.debug("connection passes uncaptured", reason=reason)

    def connections_full(self, most: int, limit: str) -> None:
        """No more clients are served: they wait to be accepted until others leave."""
        self._log.warning("too many connections: raise the limit or start more replicas", served=most, limit=limit)

    def connection_timed_out(self, limit: str) -> None:
        """A client that was silent or slow for longer than the settings allow was closed: `idle` or `head`."""
        self.counters.add("sidecar_connections_timed_out_total", limit=limit)
        self._log.debug("connection timed out", limit=limit)

    def tls_refused(self, reason: str) -> None:
        """A client's handshake that came to nothing: not TLS, no certificate of an authority we know, not finished."""
        self.counters.add("sidecar_tls_refused_total")
        self._log.info("no TLS with a client", reason=reason)

    def upstream_tls_broke(self, upstream: str, reason: str) -> None:
        self._log.warning("TLS with the model broke", upstream=upstream, reason=reason)

    def certificates_renewed(self, files: Sequence[str]) -> None:
        self._log.info("certificates renewed", files=files)

    def certificates_unusable(self, error: ConfigurationError | OSError) -> None:
        """Files that were written anew and cannot be used: the last good ones stay."""
        self._log.error("certificates cannot be used, the last good ones are", problem=_told(error))

    def certificate_ending(self, problem: Problem) -> None:
        self._log.warning("certificate is not in force for long", problem=str(problem))

    def engine_started(self, pid: int) -> None:
        self.counters.add("sidecar_engine_starts_total")
        self._log.info("engine started", pid=pid)

    def engine_died(self, exit_code: int, back_off_seconds: float) -> None:
        self.counters.add(ENGINE_DEATHS)
        happened = "engine cannot start like this" if exit_code == CANNOT_START else "engine died"
        self._log.error(
            f"{happened}, predictions go on", exit_code=exit_code, starts_again_in_seconds=round(back_off_seconds, 2)
        )

    def engine_refused(self, error: ConfigurationError) -> None:
        """Why the engine cannot start: each fault of its settings or its surroundings."""
        for problem in error.problems:
            self._log.error("engine cannot start", problem=str(problem))

    def engine_not_started(self, error: OSError, back_off_seconds: float) -> None:
        self._log.error(
            "engine could not be started, predictions go on",
            error=str(error),
            starts_again_in_seconds=round(back_off_seconds, 2),
        )

    def engine_killed(self) -> None:
        """It did not end in time, or did not hear that it should: what it held in memory is lost, its jobs are not."""
        self._log.error("engine did not stop, it was killed")

    def worker_started(self, relay: int, pid: int) -> None:
        self._log.info("relay worker started", relay=relay, pid=pid)

    def worker_died(self, relay: int, exit_code: int, back_off_seconds: float, lost: int) -> None:
        """Its clients are cut off; new ones are served by the others, at once."""
        self._log.error(
            "relay worker died, new connections are served by the others", relay=relay, exit_code=exit_code,
            exchanges_lost=lost, starts_again_in_seconds=round(back_off_seconds, 2),
        )  # fmt: skip

    def worker_hung(self, relay: int) -> None:
        """It goes on with nothing, its clients' calls among it: it is killed, and replaced as one that died."""
        self._log.error("relay worker hangs, it is killed", relay=relay)

    def worker_not_started(self, relay: int, error: OSError, back_off_seconds: float) -> None:
        self._log.error(
            "relay worker could not be started, the others serve its clients", relay=relay, error=str(error),
            starts_again_in_seconds=round(back_off_seconds, 2),
        )  # fmt: skip

    def worker_killed(self, relay: int) -> None:
        self._log.error("relay worker did not stop, it was killed", relay=relay)

    def link_opened(self) -> None:
        self._log.debug("link to the engine open")

    def link_closed(self, lost: int) -> None:
        self._log.log(logging.WARNING if lost else logging.DEBUG, "link to the engine closed", exchanges_lost=lost)

    def stopping(self, signal: str) -> None:
        self._log.info("stopping", signal=signal)

    def stopped(self) -> None:
        self._log.info("stopped")

    # the engine

    def engine_waits(self, lock: str, holder: str) -> None:
        """Another engine is alone on the data folder; this one takes over when it is gone."""
        self._log.warning("engine waits: another one holds the data folder", lock=lock, held_by_process=holder)

    def engine_ready(self, admin: str, collectors: int, workflows: int) -> None:
        self._log.info("engine ready", admin=admin, collectors=collectors, workflows=workflows)
        self.note("engine.started", admin, collectors=collectors, workflows=workflows)

    def exchange_lost(self, reason: str, count: int = 1) -> None:
        self.counters.add("sidecar_exchanges_lost_total", count, reason=reason)
        self._log.debug("exchange lost", reason=reason, count=count)

    def rows_expected(self, address: str) -> None:
        self._log.info("collected rows are expected", address=address)

    def rows_not_received(self, problem: str) -> None:
        """Everything else runs: scoring code finds nobody there."""
        self._log.error("collected rows cannot be received: free the address or set --mdc to another", problem=problem)

    def rows_dropped_by_sender(self, count: int) -> None:
        """What scoring code had collected and could not keep: it has a bounded buffer and never waits."""
        self.counters.add("sidecar_rows_dropped_by_sender_total", count)
        self._log.warning("collected rows were dropped before they came here", records=count)

    def exchange_undecoded(self, protocol: str, error: str) -> None:
        self.counters.add("sidecar_exchanges_undecoded_total", protocol=protocol)
        self._log.debug("body could not be read, kept raw", protocol=protocol, error=error)

    def policy_broken(self, error: ConfigurationError) -> None:
        """The last good version keeps running."""
        for problem in error.problems:
            self.counters.add("sidecar_policy_problems_total")
            place = {"file": problem.file, "line": problem.line, "field": problem.field}
            known = {name: value for name, value in place.items() if value}
            self._log.error("policy cannot be used", problem=problem.message, **known)
            self.note("policy.broken", problem.file or problem.field, reason=str(problem))

    def policies_mended(self, files: tuple[str, ...]) -> None:
        """Files that had a problem and have none now, or are gone."""
        for file in files:
            self._log.info("policy file has no fault any more", file=file)
            self.note("policy.mended", file)

    def policies_not_read(self, error: BaseException) -> None:
        """A change of the folder could not be taken over: tried again at the next look."""
        self._log.error("changed policies could not be taken over, the old ones run", error=_told(error))

    def policy_changed(self, action: str, kind: str, keys: tuple[str, ...]) -> None:
        self.counters.add("sidecar_policy_changes_total", action=action, kind=kind)
        self._log.info(f"{kind} {action}", ids=keys)

    def operator_loading(self, entry: str) -> None:
        """Said before a plug-in's code is run: should it end or hang the engine, this names it."""
        self._log.info("plug-in is loaded", entry=entry)

    def operators_broken(self, problems: tuple[Problem, ...]) -> None:
        """What could not be loaded: graphs that name it cannot run, everything else does."""
        for problem in problems:
            self.counters.add("sidecar_operator_problems_total")
            self._log.error("plug-in cannot be used", problem=str(problem))

    def operator_failed(self, collector: str, error: str) -> None:
        self.counters.add("sidecar_operator_failures_total", collector=collector)
        self._log.warning("operator failed, its input is dropped", collector=collector, error=error)

    def model_called(self, model: str, outcome: str, seconds: float) -> None:
        self.counters.add("sidecar_model_calls_total", model=model, outcome=outcome)
        self.counters.add("sidecar_model_call_milliseconds_total", round(seconds * 1000), model=model)

    def model_failed(self, model: str, reason: str) -> None:
        """A question without an answer: its call failed, the answer is of no use, or no call was made."""
        self.counters.add("sidecar_model_failures_total", model=model, reason=reason)
        self._log.debug("model did not answer", model=model, reason=reason)

    def breaker_opened(self, model: str, reason: str, seconds: float) -> None:
        self.counters.add("sidecar_model_breaker_openings_total", model=model)
        self._log.warning(
            "model is left alone, it failed too often", model=model, reason=reason, seconds=round(seconds, 1)
        )
        self.note("model.away", model, reason=reason)

    def breaker_closed(self, model: str) -> None:
        self._log.info("model is asked again, it answers", model=model)
        self.note("model.back", model)

    def jobs_settled(self, collector: str, verdict: str, reason: str, count: int) -> None:
        self.counters.add("sidecar_jobs_settled_total", count, collector=collector, verdict=verdict, reason=reason)
        if verdict in _UNMEANT:
            self._log.warning(_UNMEANT[verdict], collector=collector, reason=reason, count=count)
            if reason not in _ASKED_FOR:
                self.note(f"jobs.{verdict}", collector, collector, reason=reason, jobs=count)

    def jobs_retried(self, collector: str, reason: str, count: int, after_seconds: float) -> None:
        self.counters.add("sidecar_jobs_retried_total", count, collector=collector, reason=reason)
        self._log.info(
            "jobs wait for another try", collector=collector, reason=reason, count=count,
            after_seconds=round(after_seconds, 1),
        )  # fmt: skip
        self.note("jobs.waiting", collector, collector, reason=reason, jobs=count)

    def store_failed(self, doing: str, error: BaseException) -> None:
        self.counters.add("sidecar_store_failures_total", doing=doing)
        self._log.error("database failed", doing=doing, error=repr(error))

    def task_failed(self, name: str, error: BaseException) -> None:
        self.counters.add("sidecar_task_failures_total", task=name)
        self._log.error("task failed", task=name, error=_told(error), place=_place(error))

    def request_failed(self, method: str, path: str, error: BaseException) -> None:
        """A fault of ours in the admin API: answered in its envelope, nothing half-written."""
        self.counters.add("sidecar_admin_failures_total")
        self._log.error("admin request failed", method=method, path=path, error=_told(error), place=_place(error))

    def request_refused(self, path: str, status: int, problems: Mapping[str, str]) -> None:
        self.counters.add("sidecar_admin_refusals_total", status=str(status))
        self._log.info("admin request refused", path=path, status=status, problems=dict(problems))

    def token_refused(self, address: str, *, is_last: bool) -> None:
        """`is_last`: whatever else comes from there is not looked at for some time."""
        self.counters.add("sidecar_admin_tokens_refused_total")
        self._log.warning("wrong token" + (", one too many" if is_last else ""), address=address)
        if is_last:
            self.note("tokens.guessed", address)

    def token_not_looked_at(self) -> None:
        self.counters.add("sidecar_admin_tokens_not_looked_at_total")

    def changed(self, who: str, kind: str, subject: str) -> None:
        """Something was changed over the admin API or by a policy file; the event itself is in the database."""
        self.counters.add("sidecar_changes_total", kind=kind)
        self._log.info("changed", who=who, kind=kind, subject=subject)
