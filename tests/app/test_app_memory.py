"""The engine's own memory limit: under a container's, so that the relays outlive it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.app.life import LEAST_BYTES, RELAY_ITSELF_BYTES

GIB = 1 << 30
CODE = """
import resource, sys
from pathlib import Path
from sidecar.app.life import leave_room_for_the_relays
leave_room_for_the_relays(int(sys.argv[2]), 2, Path(sys.argv[1]))
print(resource.getrlimit(resource.RLIMIT_DATA)[0])
try:
    bytearray(int(sys.argv[3]))
except MemoryError:
    print("refused")
"""


def _under(limit_file: Path, relay_memory: int, takes: int) -> list[str]:
    """What a process of its own says, as a limit once set stays."""
    command = [sys.executable, "-c", CODE, str(limit_file), str(relay_memory), str(takes)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()


def test_what_two_relays_need_is_left_to_them(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{GIB}\n")
    relay_memory = GIB // 2
    assert _under(limit, relay_memory, GIB) == [str(GIB - relay_memory - 2 * RELAY_ITSELF_BYTES), "refused"]


def test_a_small_container_still_lets_it_start(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000")
    assert _under(limit, 1, GIB) == [str(LEAST_BYTES), "refused"]


@pytest.mark.parametrize("text", ["max\n", None])
def test_without_a_container_limit_there_is_none(tmp_path: Path, text: str | None) -> None:
    limit = tmp_path / "memory.max"
    if text is not None:
        limit.write_text(text)
    assert _under(limit, 1, 1)[0] == "-1"


IN_PIECES = """
from pathlib import Path
from sidecar.app.loop import LARGE_BYTES, give_memory_back_in_pieces

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

give_memory_back_in_pieces()
bytes(64 * LARGE_BYTES)  # what is freed once teaches glibc not to ask the system for blocks of this size
blocks = [bytes([1]) * 2 * LARGE_BYTES for _ in range(40)]
held = [resident()]
while blocks:
    del blocks[0]
    held.append(resident())
print(*(before - after for before, after in zip(held, held[1:])))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is another one than glibc's")
def test_each_large_block_goes_back_to_the_system_by_itself() -> None:
    """However they lie: else all of them go in one call, when the last one does."""
    told = subprocess.run([sys.executable, "-c", IN_PIECES], capture_output=True, check=True, text=True).stdout.split()
    assert len(told) == 40
    assert max(map(int, told)) < 4 * 128 * 1024
