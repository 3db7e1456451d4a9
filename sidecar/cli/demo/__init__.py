"""`sidecar demo`: a real model, real traffic, a real collector, on free ports, and the account of all of it at the end.

`run_demo` is the door. The parts: `play` the order, `children` the processes, `model_server` the two models, `digits`
their data, `policies` what is collected, `traffic` who calls, `report` the sums.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal

from rich.console import Console

EXIT_MISSING = 2
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
COLUMNS = 100
NEEDED = ("sklearn", "PIL")


def run_demo(once: bool) -> int:
    """Run the demo and give the process's exit code.

    With `once` it ends by itself: 0 when everything it sent is accounted for and something was kept, else 1. Without,
    it serves until Ctrl-C. 2 when scikit-learn or Pillow is not installed.
    """
    console = _console()
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        console.print("The demo needs scikit-learn and Pillow: pip install 'collector-sidecar[demo]'", markup=False)
        return EXIT_MISSING
    from sidecar.cli.demo.children import DemoError

    try:
        return asyncio.run(_until_signal(console, once=once))
    except DemoError as error:
        console.print(f"The demo failed: {error}", style="red", markup=False)
        return EXIT_FAILED


def _console() -> Console:
    """As wide as the terminal, at most 100 columns; 100 without one. Colour at a terminal only."""
    console = Console(highlight=False)
    console.width = min(console.width, COLUMNS) if console.is_terminal else COLUMNS
    return console


async def _until_signal(console: Console, *, once: bool) -> int:
    """Play until the end or the first SIGINT or SIGTERM; a signal while the demo serves is its normal end."""
    from sidecar.cli.demo.play import play

    playing = asyncio.create_task(play(console, once=once))
    was_stopped = False

    def stop_once() -> None:
        # A second cancel would cut the orderly stop that the first one began.
        nonlocal was_stopped
        if not was_stopped:
            was_stopped = True
            playing.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_once)
    await asyncio.wait([playing])
    return EXIT_INTERRUPTED if playing.cancelled() else playing.result()
