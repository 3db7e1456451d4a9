"""The benchmark: what ours costs beside nginx, Envoy and a usual proxy, in turns within one run.

    poe bench                       everything, about 25 minutes
    poe bench --quick               a look, about 2 minutes
    poe bench processor kept        these scenarios only
    poe bench backlog --minutes 10  longer
    poe bench --write               into the README, the page of results and the picture

`python tests/bench` is the same. It installs nothing: it uses nginx, wrk, h2load, envoy and matplotlib if they are
there, and says what falls out without them. The figures are one machine's; the ratios travel.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import findings as kept_findings
import picture
import report
import table
from contestants import CONTESTANTS
from faults import MeasurementError
from figures import MISSED
from findings import Findings, Kept
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from run import FULL, QUICK, Plan, Run
from scenarios import SCENARIOS, Scenario
from tools import HOW_TO_INSTALL, MATPLOTLIB, find, version

ROOT = Path(__file__).parents[2]
README, PAGE, PICTURE = ROOT / "README.md", ROOT / report.PAGE, ROOT / report.PICTURE
BUSY = 0.5
"""Processes that want to run, for each processor: from here on they stand in each other's way."""
KEPT = PAGE.with_name("findings.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; gives the exit code: 1 if a floor is missed, 2 if a scenario failed."""
    given = _parser().parse_args(arguments)
    console, tools = Console(stderr=True), find()
    chosen = [each for each in SCENARIOS if not given.scenarios or each.name in given.scenarios]
    for line in fallen_out(chosen, tools):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if os.getloadavg()[0] > BUSY * (os.cpu_count() or 1):
        console.print(
            f"this machine is busy ({_load()}): latencies will tell more of that than of anybody", style="yellow"
        )
    able = [each for each in chosen if set(each.needs) <= tools.keys()]
    every: list[Findings] = []
    for name, found in _measured(able, given, tools, console):
        every.append(found)
        print(f"\n{name}: {found.method}\n", *(f"{table.shown(one)}\n" for one in found.tables), *found.notes, sep="\n")
        if given.write:
            _write(name, found, tools)
    rows = [row for found in every for row in found.rows]
    print("\n" + table.judged(rows))
    return 2 if len(every) < len(able) else int(any(row.verdict == MISSED for row in rows))


def fallen_out(chosen: Sequence[Scenario], tools: Mapping[str, str]) -> list[str]:
    """A line for each program that is missing, with what cannot be said without it."""
    lines = []
    for tool, how in HOW_TO_INSTALL.items():
        scenarios = [each.name for each in chosen if tool in each.needs]
        rows = [f"rows against {name}" for name, each in CONTESTANTS.items() if each.needs == tool]
        lost = [*scenarios, *rows, *(["the picture"] if tool == MATPLOTLIB else [])]
        if tool not in tools:
            lines.append(f"{tool} is not installed ({how}); without it: {'; '.join(lost)}")
    return lines


def _measured(
    chosen: Sequence[Scenario], given: argparse.Namespace, tools: Mapping[str, str], console: Console
) -> Iterator[tuple[str, Findings]]:
    """What each scenario found, as soon as it did; one that fails says so, and the others go on."""
    columns = (TextColumn("{task.description:<48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder, Progress(*columns, console=console) as bars:
        everything = bars.add_task("all scenarios", total=len(chosen))
        run = Run(_plan(given), tools, Path(folder), bars, bars.add_task("", total=None))
        for scenario in chosen:
            bars.update(everything, description=scenario.help)
            try:
                yield scenario.name, scenario.measure(run)
            except MeasurementError as error:
                console.print(f"{scenario.name} could not be measured: {error}", style="red", markup=False)
            bars.advance(everything)


def _write(name: str, found: Findings, tools: Mapping[str, str]) -> None:
    """Put it in the place of what this scenario had found before; the other scenarios' stand."""
    known = {**kept_findings.load(KEPT).findings, name: found}
    kept = Kept(_machine(tools), {each.name: known[each.name] for each in SCENARIOS if each.name in known})
    KEPT.parent.mkdir(exist_ok=True)
    kept_findings.save(KEPT, kept)
    PAGE.write_text(report.page(kept))
    README.write_text(report.replaced(README.read_text(), report.readme_block(kept)))
    if found.curves and MATPLOTLIB in tools:
        picture.draw(found.curves, PICTURE)


def _plan(given: argparse.Namespace) -> Plan:
    plan = QUICK if given.quick else FULL
    named = {name: value for name in ("rounds", "paired_rounds", "seconds", "minutes") if (value := vars(given)[name])}
    return plan._replace(**named)


def _machine(tools: Mapping[str, str]) -> str:
    programs = [said for name, program in tools.items() if (said := version(name, program))]
    ours = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} processors, {platform.system()}; {', '.join([ours, *programs])}; {_load()}."


def _load() -> str:
    return f"load average {os.getloadavg()[2]:.1f} over a quarter of an hour"


def _name(text: str) -> str:
    """A scenario's name. Raises ArgumentTypeError."""
    if text not in {each.name for each in SCENARIOS}:
        raise argparse.ArgumentTypeError(f"no scenario is called {text!r}: see --help")
    return text


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {each.name:<12} {each.help}" for each in SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="poe bench",
        description=__doc__,
        epilog=f"scenarios:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="by name; all without", type=_name)
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--rounds", type=int, help=f"of processor time ({FULL.rounds})")
    parser.add_argument("--paired-rounds", type=int, help=f"of latency ({FULL.paired_rounds})")
    parser.add_argument("--seconds", type=float, help=f"of each turn ({FULL.seconds:g})")
    parser.add_argument("--minutes", type=float, help=f"of a dead destination ({FULL.minutes:g})")
    parser.add_argument("--write", action="store_true", help="into README, page of results and picture")
    return parser
