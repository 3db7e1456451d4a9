"""The calls that workflows make to model servers.

Owns the HTTP side of a model node: the graph only says which model it wants asked what. A call is bounded in time and
in number per server. What comes back is on the data model, or one of the tree's errors: transient when the server is
away, permanent when it refuses this input.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from urllib.parse import urlsplit

import aiohttp
import tenacity

from sidecar.data import Data
from sidecar.errors import ConfigurationError, Problem, SidecarError, TransientError
from sidecar.events import Events
from sidecar.protocol.model_call import MEDIA_TYPE, decode_answer, encode_request
from sidecar.protocol.routes import Route, recognise
from sidecar.settings import ModelServer
from sidecar.workflow.run import ModelRequest, Verdict

TIMEOUT_SECONDS = 10.0
CALLS_AT_ONCE = 8
QUICK_TRIES = 3
Steps = Generator[ModelRequest, Data, Verdict]


def route_of(server: ModelServer) -> Route:
    """How `server` is spoken to. Raises ConfigurationError when its path is no predict call that we know."""
    route = recognise(b"POST", urlsplit(server.url).path.encode())
    if route is None:
        message = f"{server.url} is no predict call: write for example http://host:8501/v1/models/{server.id}:predict"
        raise ConfigurationError(Problem(message, field="--models"))
    return route


class ModelServers:
    """The model servers named in settings, by id."""

    def __init__(self, servers: Sequence[ModelServer], session: aiohttp.ClientSession, events: Events) -> None:
        self._servers = {server.id: (server, route_of(server)) for server in servers}
        self._free = {server.id: asyncio.Semaphore(CALLS_AT_ONCE) for server in servers}
        self._session = session
        self._events = events

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._servers)

    async def ask_once(self, request: ModelRequest) -> Data:
        """The model's answer to one input. Raises TransientError or PermanentError."""
        if request.model_id not in self._servers:
            raise TransientError(f"model {request.model_id!r} is no longer in --models")
        server, route = self._servers[request.model_id]
        try:
            async with self._free[server.id]:
                answer = await self._post(server, route, request.data)
        except SidecarError as error:
            self._events.model_called(server.id, "unavailable" if isinstance(error, TransientError) else "refused")
            raise
        self._events.model_called(server.id, "answered")
        return answer

    async def ask(self, request: ModelRequest) -> Data:
        """The same with a few quick tries; long ones belong to the job's row."""
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(QUICK_TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=1.0),
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )
        return await tries(self.ask_once, request)

    async def _post(self, server: ModelServer, route: Route, data: Data) -> Data:
        body = encode_request(route.protocol, [data])
        headers = {"Content-Type": MEDIA_TYPE}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with self._session.post(server.url, data=body, headers=headers, timeout=timeout) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransientError(
                f"model {server.id!r} at {server.url}: {str(error) or type(error).__name__}"
            ) from error
        return decode_answer(route.protocol, response.status, content, 1)[0]


async def finish(steps: Steps, ask: Callable[[ModelRequest], Awaitable[Data]]) -> Verdict:
    """Run a workflow to its verdict, asking the models it wants asked. Passes on what `ask` raises."""
    try:
        request = next(steps)
        while True:
            request = steps.send(await ask(request))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
