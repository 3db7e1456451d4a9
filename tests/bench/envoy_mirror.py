"""Envoy with a request mirror, as its documentation writes one: one worker, no admin, no access log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml
from servers import Server, free_port, listening


def _endpoint(address: str) -> dict[str, object]:
    host, _, port = address.rpartition(":")
    return {"address": {"socket_address": {"address": host, "port_value": int(port)}}}


def _cluster(name: str, address: str) -> dict[str, object]:
    endpoints = [{"lb_endpoints": [{"endpoint": _endpoint(address)}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _config(address: str, model: str, sink: str) -> dict[str, object]:
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "model", "request_mirror_policies": [{"cluster": "sink"}]},
    }
    extensions = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{extensions}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "in", **_endpoint(address), "filter_chains": [chain]}
    clusters = [_cluster("model", model), _cluster("sink", sink)]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


@contextlib.contextmanager
def mirroring(program: str, folder: Path, model: str, sink: str) -> Iterator[Server]:
    """Every call goes to the model, and a copy of it to the sink."""
    folder.mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    config = folder / "envoy.yaml"
    config.write_text(yaml.safe_dump(_config(address, model, sink)))
    command = [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    with listening(command, folder / "log", address) as server:
        yield server
