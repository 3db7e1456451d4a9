"""A real model server for the demo: images in, probabilities out, in TensorFlow Serving's REST shape.

A process of its own: `python -m sidecar.cli.demo.model_server --kind first`. It trains in well under a second, listens
on a free port of the loopback address, says so in one line on stdout (`ready listen=127.0.0.1:41234`) and serves until
SIGTERM. Refuses bad input with 4xx and `{"error": …}`. Knows nothing of the sidecar.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiohttp import web
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sidecar.cli.demo.digits import from_image, learned

MAX_INSTANCES = 128
DECIMALS = 6
_VERSION = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}

Predict = Callable[[np.ndarray], np.ndarray]


def _first() -> Predict:
    """Good, not perfect: a linear model that has seen 300 digits."""
    digits = learned()
    model = LogisticRegression(max_iter=200).fit(digits.pixels[:300], digits.labels[:300])
    return lambda pixels: model.predict_proba(pixels)


def _second() -> Predict:
    """Another kind, better and slower: the five nearest of all 597 digits vote."""
    digits = learned()
    model = KNeighborsClassifier(5, weights="distance").fit(digits.pixels, digits.labels)
    return lambda pixels: model.predict_proba(pixels)


class Kind(NamedTuple):
    """A model as the demo serves it: its name in the path, what it is, and how it is trained."""

    name: str
    train: Callable[[], Predict]


KINDS: Mapping[str, Kind] = {"first": Kind("digits", _first), "second": Kind("second", _second)}


def read_instances(body: object) -> np.ndarray:
    """The images of a predict call, one row each. Raises ValueError naming the instance that cannot be read."""
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, list) or not instances:
        raise ValueError('the body must be {"instances": [{"b64": "..."}]} with one image or more')
    if len(instances) > MAX_INSTANCES:
        raise ValueError(f"{len(instances)} instances are more than {MAX_INSTANCES}: send several requests")
    return np.stack([_read_instance(index, instance) for index, instance in enumerate(instances)])


def _read_instance(index: int, instance: object) -> np.ndarray:
    match instance:
        case {"b64": str(text)}:
            content = text
        case _:
            raise ValueError(f'instances[{index}] must be {{"b64": "an image in base64"}}')
    try:
        return from_image(base64.b64decode(content, validate=True))
    except binascii.Error as error:
        raise ValueError(f"instances[{index}] is not base64: {error}") from error
    except ValueError as error:
        raise ValueError(f"instances[{index}]: {error}") from error


def application(name: str, predict: Predict) -> web.Application:
    """The two routes of one model; `predict` takes rows of pixels and gives rows of probabilities."""

    async def answer(request: web.Request) -> web.Response:
        try:
            pixels = read_instances(await request.json())
        except ValueError as error:
            return _refusal(400, str(error))
        return web.json_response({"predictions": predict(pixels).round(DECIMALS).tolist()})

    async def status(_request: web.Request) -> web.Response:
        return web.json_response({"model_version_status": [_VERSION]})

    app = web.Application(client_max_size=8 * 2**20, middlewares=[_errors_as_json])
    app.add_routes([web.post(f"/v1/models/{name}:predict", answer), web.get(f"/v1/models/{name}", status)])
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        return _refusal(error.status, f"{request.method} {request.path}: {error.reason}")
    return response


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


async def serve(kind: Kind) -> None:
    """Train, listen, say where, and stay until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(kind.name, kind.train()), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"ready listen={host}:{port}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=sorted(KINDS), required=True)
    chosen = parser.parse_args(arguments)
    asyncio.run(serve(KINDS[chosen.kind]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
