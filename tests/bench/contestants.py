"""Who is compared. Every one is real, has one worker, listens on the loopback address and stands before the same model.

`CONTESTANTS` is the registry: a name, how it is started, and which program it needs. Ours runs as its users run it,
`sidecar run`, with the policies that the scenario is about.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import envoy_mirror
import nginx
from servers import Server, announcing, script
from tools import ENVOY, NGINX

DIRECT = "direct"
PLAIN = "nginx"
STREAMING = "nginx, unbuffered"
MIRROR = "nginx, mirroring"
ENVOY_MIRROR = "Envoy, mirroring"
USUAL = "usual aiohttp proxy"
BLIND = "blind byte relay"
UNWANTED = "ours, no one wants it"
SAMPLED = "ours, a tenth kept"
KEPT = "ours, all kept"

COLLECTOR = """\
collector:
  id: bench-{model}
  source: {{model: {model}{caller}}}
  {keep}
  destination: {destination}
"""
KEEP_ALL = "pre_queue_random_sample: 1"
KEEP_A_TENTH = "pre_queue_workflow_id: unsure-tenth"
WORKFLOW = """\
workflow:
  id: unsure-tenth
  nodes:
    - id: below
      model:
        model_id: below
        model_type_id: concept-thresholder
        output_info:
          params: {concept_threshold_type: LESS_THAN, require: all}
          data: {concepts: [{id: "*", value: 0.6}]}
    - id: tenth
      model: {model_id: tenth, model_type_id: random-sample, output_info: {params: {keep_fraction: 0.1}}}
      node_inputs: [{node_id: below}]
"""


class Room(NamedTuple):
    """What a contestant finds when it starts: a folder of its own, the model, the mirrors' sink, the programs."""

    folder: Path
    model: str
    sink: str
    tools: Mapping[str, str]


class Contestant(NamedTuple):
    """How one is started; `needs` is the program without which it cannot be."""

    start: Callable[[Room], AbstractContextManager[Server]]
    needs: str = ""


def collector(*, model: str = "digits", caller: str = "", keep: str = KEEP_ALL, destination: str = "app") -> str:
    """A policy file of a collector of that model's calls; blank `caller` means any."""
    named = f", caller: {caller}" if caller else ""
    return COLLECTOR.format(model=model, caller=named, keep=keep, destination=destination)


@contextlib.contextmanager
def sidecar(room: Room, *documents: str) -> Iterator[Server]:
    """Ours, with these policy files."""
    command = sidecar_command(room, *documents)
    with announcing(command, room.folder / "log") as server:
        yield server


def sidecar_command(room: Room, *documents: str, listen: str = "127.0.0.1:0") -> list[str]:
    """The command that runs ours, once these policy files are written into the room."""
    folder = room.folder / "policies"
    folder.mkdir(parents=True)
    for number, text in enumerate(documents):
        (folder / f"{number}.yaml").write_text(text)
    options = {
        "--upstream": f"http://{room.model}",
        "--listen": listen,
        "--admin": "127.0.0.1:0",
        "--policies": str(folder),
        "--data": str(room.folder / "data"),
        "--drain-delay": "0s",
        "--log-level": "warning",
    }
    return [sys.executable, "-m", "sidecar", "run", *(word for option in options.items() for word in option)]


@contextlib.contextmanager
def _direct(room: Room) -> Iterator[Server]:
    yield Server(room.model, 0)


@contextlib.contextmanager
def _scripted(room: Room, name: str, upstream: str) -> Iterator[Server]:
    room.folder.mkdir(parents=True)
    with announcing(script(name, upstream), room.folder / "log") as server:
        yield server


CONTESTANTS: Mapping[str, Contestant] = {
    DIRECT: Contestant(_direct),
    PLAIN: Contestant(lambda room: nginx.proxy(room.tools[NGINX], room.folder, room.model), NGINX),
    STREAMING: Contestant(
        lambda room: nginx.proxy(room.tools[NGINX], room.folder, room.model, options=nginx.STREAMING), NGINX
    ),
    MIRROR: Contestant(lambda room: nginx.proxy(room.tools[NGINX], room.folder, room.model, sink=room.sink), NGINX),
    ENVOY_MIRROR: Contestant(
        lambda room: envoy_mirror.mirroring(room.tools[ENVOY], room.folder, room.model, room.sink), ENVOY
    ),
    USUAL: Contestant(lambda room: _scripted(room, "usual_proxy.py", f"http://{room.model}")),
    BLIND: Contestant(lambda room: _scripted(room, "blind_relay.py", room.model)),
    UNWANTED: Contestant(lambda room: sidecar(room, collector(caller="bob"))),
    SAMPLED: Contestant(lambda room: sidecar(room, collector(keep=KEEP_A_TENTH), WORKFLOW)),
    KEPT: Contestant(lambda room: sidecar(room, collector())),
}


@contextlib.contextmanager
def running(names: Iterable[str], room: Room) -> Iterator[dict[str, Server]]:
    """These contestants, by name, all at once; each in a folder of its own within the room's."""
    with contextlib.ExitStack() as started:
        servers: dict[str, Server] = {}
        for number, name in enumerate(names):
            own = room._replace(folder=room.folder / str(number))
            servers[name] = started.enter_context(CONTESTANTS[name].start(own))
        yield servers
