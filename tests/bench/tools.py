"""The programs that the benchmark uses if they are there. It installs none of them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

NGINX, WRK, H2LOAD, ENVOY, MATPLOTLIB = "nginx", "wrk", "h2load", "envoy", "matplotlib"
HOW_TO_INSTALL: Mapping[str, str] = {
    NGINX: "Debian: apt-get install nginx-light",
    WRK: "Debian: apt-get install wrk",
    H2LOAD: "Debian: apt-get install nghttp2-client",
    ENVOY: "pip install -e '.[bench]'",
    MATPLOTLIB: "pip install -e '.[bench]'",
}
_VERSION_OPTIONS: Mapping[str, str] = {NGINX: "-v", H2LOAD: "--version", ENVOY: "--version", WRK: "-v"}


def find() -> dict[str, str]:
    """Where each program is; one that is missing is not named. Looks beside this Python first, and in /usr/sbin."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = {name: shutil.which(name, path=path) for name in _VERSION_OPTIONS}
    there = {name: at for name, at in found.items() if at}
    return there | ({MATPLOTLIB: MATPLOTLIB} if importlib.util.find_spec(MATPLOTLIB) else {})


def version(name: str, program: str) -> str:
    """The program's own word for its version, on one line; blank for a library."""
    if name not in _VERSION_OPTIONS:
        return ""
    said = subprocess.run([program, _VERSION_OPTIONS[name]], check=False, capture_output=True, text=True)
    return read_version(name, said.stdout + said.stderr)


def read_version(name: str, said: str) -> str:
    """`nginx version: nginx/1.22.1` and its like, as `nginx 1.22.1`: the first word that holds a number with a dot."""
    words = said.replace("/", " ").replace(":", " ").replace("-", " ").split()
    numbers = [word for word in words if word[:1].isdigit() and "." in word]
    return f"{name} {numbers[0]}" if numbers else name
