"""The models that workflows may ask, by id, and the way a workflow's questions go to them.

Owns which servers there are and what they have answered; how one server is asked is `model_client`'s. What comes back
is on the data model, or one of the tree's errors: transient when the server is away, permanent when it refuses this
input.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import replace

import aiohttp

from sidecar.collector import Workflow
from sidecar.data import Data
from sidecar.errors import ConfigurationError, Problem, SidecarError, TransientError
from sidecar.events import Events
from sidecar.kit.clock import Clock, SystemClock
from sidecar.kit.ids import digest
from sidecar.model_server import ModelServer
from sidecar.pipeline.answers import Answers, Learned
from sidecar.pipeline.model_client import ModelClient, Sleep
from sidecar.protocol.asked import Question, RefusedError, Written
from sidecar.protocol.model_call import problems_of_params, question_of, write_call
from sidecar.protocol.model_shapes import shape_of
from sidecar.workflow.graph import compile_workflow
from sidecar.workflow.operators.registry import BUILT_IN, Operators
from sidecar.workflow.run import ModelRequest, Verdict

Steps = Generator[ModelRequest, Data, Verdict]


def check_server(server: ModelServer) -> None:
    """Raise ConfigurationError unless `server`, one of the setting `models`, can be asked."""
    try:
        shape_of(server)
    except ConfigurationError as error:
        raise ConfigurationError([Problem(problem.message, "--models") for problem in error.problems]) from error


def check_workflow(workflow: Workflow, servers: Iterable[ModelServer], operators: Operators = BUILT_IN) -> None:
    """Raise ConfigurationError unless `workflow` can run, and its model nodes' params suit the servers they name."""
    by_id = {server.id: server for server in servers}
    problems: list[Problem] = []
    try:
        compile_workflow(workflow, by_id, operators)
    except ConfigurationError as error:
        problems += error.problems
    for index, node in enumerate(workflow.nodes):
        server = None if node.model.type_id else by_id.get(node.model.model_id)
        if server is not None:
            where = f"nodes[{index}].model.output_info"
            found = problems_of_params(server, node.model.params)
            problems += [replace(problem, field=f"{where}.{problem.field}") for problem in found]
    if problems:
        raise ConfigurationError(problems)


def check_after_queue(workflow: Workflow, operators: Operators = BUILT_IN) -> None:
    """Raise ConfigurationError unless `workflow` may be a collector's post-queue one."""
    for node in workflow.nodes:
        kind = operators.kinds.get(node.model.type_id)
        if kind is not None and kind.holds:
            message = f"{node.model.type_id} of {workflow.id!r} holds jobs back in the queue: name it before the queue"
            raise ConfigurationError(Problem(message, "post_queue_workflow_id"))


def refusal_of(error: SidecarError) -> str:
    """The reason under which an input ends that a model will never answer for."""
    return f"model_{error.reason}" if isinstance(error, RefusedError) else "model_refused"


class ModelServers:
    """Asks the servers that it was told of last. The session is not its own.

    Raises ConfigurationError when one of the first, which the settings name, cannot be asked.
    """

    def __init__(
        self,
        servers: Iterable[ModelServer],
        session: aiohttp.ClientSession,
        events: Events,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._session = session
        self._events = events
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._answers = Answers()
        self._clients: dict[str, ModelClient] = {}
        servers = tuple(servers)
        for server in servers:
            check_server(server)
        self.replace(servers)

    def replace(self, servers: Iterable[ModelServer]) -> None:
        """Ask these from now on; one that has not changed keeps its breaker and its limit."""
        servers, known = tuple(servers), self._clients
        if any(server.id in known and known[server.id].server != server for server in servers):
            self._answers = Answers()
        self._clients = {
            server.id: known[server.id]
            if server.id in known and known[server.id].server == server
            else ModelClient(server, self._session, self._events, self._clock, self._sleep)
            for server in servers
        }

    @property
    def open_breakers(self) -> Mapping[str, bool]:
        """By model id: true while it is left alone since it failed."""
        return {name: client.breaker.is_open for name, client in self._clients.items()}

    async def ask_once(self, request: ModelRequest) -> Data:
        """The model's answer, with one try bounded in time. Raises TransientError or PermanentError."""
        client = self._client(request)
        return await self._ask(client, request, 1, client.server.timeout_seconds)

    async def ask(self, request: ModelRequest) -> Data:
        """The same with a few quick tries, and as long a wait for a free call as it takes; the caller bounds it."""
        client = self._client(request)
        return await self._ask(client, request, client.server.tries, None)

    def _client(self, request: ModelRequest) -> ModelClient:
        client = self._clients.get(request.model_id)
        if client is None:
            raise TransientError(f"model {request.model_id!r} is no longer in --models or among the policies")
        return client

    async def _ask(self, client: ModelClient, request: ModelRequest, tries: int, patience: float | None) -> Data:
        question = _question(client.server, request)
        written = write_call(client.server, question)

        async def ask() -> Learned:
            return await client.ask(question, written, tries, patience)

        return await self._answers.get(_key(client.server, request, written), ask)


def _question(server: ModelServer, request: ModelRequest) -> Question:
    try:
        return question_of(server, request.data, request.params)
    except ConfigurationError as error:
        raise TransientError(f"model {server.id!r} no longer takes the node's params: {error}") from error


def _key(server: ModelServer, request: ModelRequest, written: Written) -> bytes:
    """What tells one question from any other: the model, what is asked, and about which input."""
    place = f"{server.id}\n{server.url}\n{request.exchange_id.hex()}\n{request.input_index}"
    return digest(place, written.body)


async def finish(steps: Steps, ask: Callable[[ModelRequest], Awaitable[Data]]) -> Verdict:
    """Run a workflow to its verdict, asking the models it wants asked. Passes on what `ask` raises."""
    try:
        request = next(steps)
        while True:
            request = steps.send(await ask(request))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
