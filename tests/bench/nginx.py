"""nginx in its three parts here: the model behind everybody, a plain proxy, and a proxy that mirrors.

The model answers at once and in few processor cycles, so that it is never what is measured. For a call with a large
body it reads the whole body before it answers; for one with a large answer it sends a file.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import calls
from faults import MeasurementError
from servers import Server, free_port, listening

_CONFIG = """\
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {body}
}}
"""
_MODEL = """\
server {{
    listen 127.0.0.1:{port};
    client_body_buffer_size 16m;
    location / {{ return 200 '{answer}'; }}
    location = {upload} {{
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_pass http://unix:{folder}/answer.sock:/;
    }}
    location {download} {{ root {folder}/answers; error_page 405 =200 $uri; }}
  }}
  server {{ listen unix:{folder}/answer.sock; location / {{ return 200 '{answer}'; }} }}
"""
_PROXY = """\
upstream model {{ server {model}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {options}
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
    {more}
  }}
"""
_MIRROR = """\
location = /mirror {{
      internal;
      proxy_pass http://sink$request_uri;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
  upstream sink {{ server {sink}; keepalive 64; keepalive_requests 1000000000;
"""
STREAMING = "proxy_request_buffering off; proxy_buffering off;"


@contextlib.contextmanager
def _running(program: str, folder: Path, body: str, port: int) -> Iterator[Server]:
    config, log = folder / "nginx.conf", folder / "error.log"
    config.write_text(_CONFIG.format(folder=folder, body=body, user="" if os.geteuid() else "user root;"))
    command = [program, "-p", str(folder), "-c", str(config), "-e", str(log)]
    checked = subprocess.run([*command, "-t"], check=False, capture_output=True, text=True)
    if checked.returncode:
        raise MeasurementError(f"nginx refuses its configuration:\n{checked.stderr}")
    with listening(command, folder / "log", f"127.0.0.1:{port}") as server:
        yield server


@contextlib.contextmanager
def model(program: str, folder: Path) -> Iterator[Server]:
    """The constant model; also the sink of a mirror."""
    for name, size in calls.SIZES.items():
        path = folder / f"answers{calls.download_path(name)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(calls.numbers(size, "predictions"))
    port = free_port()
    where = {"folder": folder, "port": port, "upload": calls.UPLOAD_PATH, "download": calls.DOWNLOADS}
    body = _MODEL.format(**where, answer=calls.PREDICTIONS)
    with _running(program, folder, body, port) as server:
        yield server


@contextlib.contextmanager
def proxy(program: str, folder: Path, model_address: str, *, sink: str = "", options: str = "") -> Iterator[Server]:
    """A plain proxy with `options` in its location; with a sink, every call is mirrored to it."""
    folder.mkdir(parents=True)
    port = free_port()
    more = _MIRROR.format(sink=sink) if sink else ""
    options = options + (" mirror /mirror;" if sink else "")
    body = _PROXY.format(model=model_address, port=port, options=options, more=more)
    with _running(program, folder, body, port) as server:
        yield server
