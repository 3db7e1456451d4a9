"""Every route of the admin API, with the scope that it needs: one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aiohttp.typedefs import Handler
from pydantic import BaseModel

from sidecar.admin import (
    answers,
    backtest,
    bodies,
    checking,
    collectors,
    concepts,
    events,
    inputs,
    jobs,
    keys,
    queries,
    shown_settings,
    state,
    stories,
    tail,
    workflows,
)
from sidecar.admin.openapi import openapi
from sidecar.admin.queries import Query
from sidecar.admin.scopes import Scope

APP = "/users/{user_id}/apps/{app_id}"
_BOTH = (f"/v2{APP}", "/v2")


class Route(NamedTuple):
    """`scope` is None where nothing is shown that needs one."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    body: type[BaseModel] | None = None
    """What its body is read by."""
    query: type[Query] = Query
    """What its query is read by, before its handler is called."""
    answer: type[BaseModel] | None = None
    """What its answer holds."""


_CONTRACT = (
    Route("POST", "/collectors", collectors.post, Scope.WRITE, bodies.PostCollectors),
    Route("PATCH", "/collectors", collectors.patch, Scope.WRITE, bodies.PatchCollectors),
    Route("GET", "/collectors", collectors.list_all, Scope.READ, query=queries.Pages),
    Route("DELETE", "/collectors", collectors.delete, Scope.WRITE, bodies.Delete),
    Route("GET", "/collectors/{id}", collectors.get, Scope.READ),
    Route("POST", "/workflows", workflows.post, Scope.WRITE, bodies.PostWorkflows),
    Route("PATCH", "/workflows", workflows.patch, Scope.WRITE, bodies.PatchWorkflows),
    Route("GET", "/workflows", workflows.list_all, Scope.READ, query=queries.Pages),
    Route("DELETE", "/workflows", workflows.delete, Scope.WRITE, bodies.Delete),
    Route("DELETE", "/workflows/{id}", workflows.delete, Scope.WRITE),
    Route("GET", "/workflows/{id}", workflows.get, Scope.READ),
    Route("POST", "/concepts/{concept_id}/relations", concepts.post, Scope.WRITE, bodies.PostRelations),
    Route("GET", "/concepts/{concept_id}/relations", concepts.list_all, Scope.READ, query=queries.Relations),
    Route("GET", "/concepts/relations", concepts.list_all, Scope.READ, query=queries.Relations),
    Route("DELETE", "/concepts/{concept_id}/relations", concepts.delete, Scope.WRITE, bodies.DeleteRelations),
    Route("POST", "/inputs", inputs.post, Scope.INPUTS, bodies.PostInputs),
    Route("GET", "/inputs", inputs.list_all, Scope.INPUTS, query=queries.Inputs),
    Route("GET", "/inputs/{id}", inputs.get, Scope.INPUTS),
    Route("GET", "/inputs/{id}/annotations", inputs.list_annotations, Scope.INPUTS),
    Route("DELETE", "/inputs", inputs.delete, Scope.INPUTS, bodies.DeleteIds),
    Route("DELETE", "/inputs/{id}", inputs.delete, Scope.INPUTS),
)
"""Each of them stands at both of the contract's paths, and is about an app's own."""
_OURS = (
    Route("GET", f"/v1{APP}/inputs/{{id}}/content", inputs.content, Scope.INPUTS, query=queries.Content),
    Route(
        "GET",
        f"/v1{APP}/inputs/{{id}}/story",
        stories.of_input,
        Scope.INPUTS,
        query=queries.OfApp,
        answer=answers.InputStory,
    ),
    Route("GET", "/v1/collectors", collectors.list_everywhere, Scope.READ, answer=answers.Collectors),
    Route("GET", "/v1/jobs", jobs.list_all, Scope.READ, query=queries.Jobs, answer=answers.Jobs),
    Route("GET", "/v1/jobs/{id}", stories.of_job, Scope.INPUTS, answer=answers.OneJob),
    Route("POST", "/v1/jobs/retry", jobs.retry, Scope.WRITE, bodies.ChooseJobs, answer=answers.Retried),
    Route("POST", "/v1/jobs/discard", jobs.discard, Scope.WRITE, bodies.ChooseJobs, answer=answers.Discarded),
    Route("GET", "/v1/ledger", state.ledger, Scope.READ, answer=answers.Ledger),
    Route("GET", "/v1/traffic", state.traffic, Scope.READ, answer=answers.Traffic),
    Route("GET", "/v1/tail", tail.listen, Scope.READ, query=queries.Tail),
    Route("POST", "/v1/check", checking.check, Scope.READ, bodies.PostCheck, queries.OfApp, answers.Checked),
    Route("POST", "/v1/backtest", backtest.backtest, Scope.READ, bodies.PostBacktest, queries.OfApp, answers.Backtest),
    Route("POST", "/v1/record", backtest.start, Scope.WRITE, bodies.PostRecord, answer=answers.Recording),
    Route("GET", "/v1/record", backtest.status, Scope.READ, answer=answers.Recording),
    Route("DELETE", "/v1/record", backtest.stop, Scope.WRITE, answer=answers.Recording),
    Route("GET", "/v1/record/exchanges", backtest.download, Scope.INPUTS),
    Route("POST", "/v1/keys", keys.create, Scope.WRITE, bodies.PostKey, answer=answers.KeyWithToken),
    Route("GET", "/v1/keys", keys.list_all, Scope.READ, answer=answers.Keys),
    Route("POST", "/v1/keys/{id}/rotate", keys.rotate, Scope.WRITE, answer=answers.KeyWithToken),
    Route("DELETE", "/v1/keys/{id}", keys.revoke, Scope.WRITE, answer=answers.RevokedKey),
    Route("GET", "/v1/events", events.list_all, Scope.READ, query=queries.Events, answer=answers.Events),
    Route("GET", "/v1/settings", shown_settings.list_all, Scope.READ, answer=answers.Settings),
    Route("GET", "/metrics", state.metrics, Scope.READ, query=queries.Anything),
    Route("GET", "/openapi.json", openapi, Scope.READ),
    Route("GET", "/healthz", state.health, None, query=queries.Anything, answer=answers.Health),
    Route("GET", "/readyz", state.readiness, None, query=queries.Anything, answer=answers.Readiness),
)


def _in_both(route: Route) -> Iterator[Route]:
    query = queries.OfApp if route.query is Query else route.query
    return (route._replace(path=prefix + route.path, query=query) for prefix in _BOTH)


ROUTES = (*(each for route in _CONTRACT for each in _in_both(route)), *_OURS)
