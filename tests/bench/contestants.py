"""Who is compared: how each server is started and stopped, and which processes are its own.

Every server is real, has one worker, listens on a free port of the loopback address and stands before the same model:
an nginx that answers every call with the same probabilities, so that it is never the bottleneck.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NGINX = "/usr/sbin/nginx"
PREDICT_PATH = "/v1/models/digits:predict"
PREDICTIONS = '{"predictions": [[0.05, 0.31, 0.02, 0.42, 0.03, 0.04, 0.05, 0.03, 0.02, 0.03]]}'
STOP_SECONDS = 60

_NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {body}
}}
"""
_MODEL = "server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{answer}'; }} }}"
_PROXY = """\
upstream model {{ server {model}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {mirror}
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
    {sink}
  }}
"""
_SINK = """\
location = /mirror {{
      internal;
      proxy_pass http://sink$request_uri;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
  upstream sink {{ server {sink}; keepalive 64; keepalive_requests 1000000000;
"""
COLLECTOR = """\
collector:
  id: bench
  source: {model: digits}
  pre_queue_workflow_id: unsure-tenth
  destination: app
"""
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


class Server(NamedTuple):
    """A running server: where it listens, and the process that all of its processes descend from (0: none)."""

    address: str
    pid: int
    admin: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}{PREDICT_PATH}"


@contextlib.contextmanager
def _process(command: list[str], log: Path, *, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=stdout, stderr=errors, text=True, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def _announcing(command: list[str], folder: Path) -> Iterator[Server]:
    """A server that says `ready listen=… admin=…` on stdout."""
    log = folder / "log"
    with _process(command, log, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout is not None else ""
        found = dict(part.split("=", 1) for part in line.split()[1:])
        if "listen" not in found:
            raise SystemExit(f"{' '.join(command)} did not start:\n{log.read_text()}")
        yield Server(found["listen"], process.pid, found.get("admin", ""))


def _free_port() -> int:
    """A port that nobody has now; nginx cannot choose one itself and say which."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _nginx(folder: Path, body: str, port: int) -> Iterator[Server]:
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, body=body))
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], check=False, capture_output=True, text=True)
    if checked.returncode:
        raise SystemExit(f"nginx refuses its configuration:\n{checked.stderr}")
    with _process(command, folder / "log") as process:
        yield Server(f"127.0.0.1:{port}", process.pid)


def model(folder: Path) -> contextlib.AbstractContextManager[Server]:
    """The constant model; also the sink of a mirror."""
    port = _free_port()
    return _nginx(folder, _MODEL.format(port=port, answer=PREDICTIONS), port)


def nginx(folder: Path, model_address: str, sink_address: str = "") -> contextlib.AbstractContextManager[Server]:
    """nginx as a plain proxy; with a sink, every call is mirrored to it."""
    port = _free_port()
    mirror, sink = ("mirror /mirror;", _SINK.format(sink=sink_address)) if sink_address else ("", "")
    return _nginx(folder, _PROXY.format(model=model_address, port=port, mirror=mirror, sink=sink), port)


def usual_proxy(folder: Path, model_address: str) -> contextlib.AbstractContextManager[Server]:
    """A handler and a ClientSession."""
    folder.mkdir()
    script = Path(__file__).with_name("usual_proxy.py")
    return _announcing([sys.executable, str(script), f"http://{model_address}"], folder)


def sidecar(folder: Path, model_address: str, *, collects: bool) -> contextlib.AbstractContextManager[Server]:
    """Ours: relay and engine, with a collector that looks at every call, or with none."""
    (folder / "policies").mkdir(parents=True)
    if collects:
        (folder / "policies/collector.yaml").write_text(COLLECTOR)
        (folder / "policies/workflow.yaml").write_text(WORKFLOW)
    options = ["--upstream", f"http://{model_address}", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    options += ["--policies", str(folder / "policies"), "--data", str(folder / "data"), "--drain-delay", "0s"]
    return _announcing([sys.executable, "-m", "sidecar", "run", *options], folder)
