"""Plans against schedules given by hand, on thirty real computations.

    python tests/benchmarks/campaign.py [--only WORDS ...] [--quick] [--json FILE]

*runs*    Each is a computation, a size and a memory. In one process, the plan and every schedule of
          a set that fits in the same bytes evaluate the gradient, round after round in random
          order. The ratio of the plan's time to that of the best rival, picked in the odd rounds,
          is judged in the even ones, with a 90 % interval. First evaluations are timed in fresh
          processes.
*cases*   Gradients over what one would otherwise use, with bounds of their own.
*leaves*  Plans of one run, made forty times, beside leaves given by hand.

Rounds in which two evaluations of the same way differ by more than 6 %, or others took the
processor, are void. All of it takes hours, on a machine that does nothing else. ``--quick`` plays
12 rounds and no first evaluations: it shows large losses. ``--only`` plays what has one of the
words in its name, and ``--only tiny`` something that takes seconds. What is marked with ! is not as
it should be.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from plan_campaign.cases import CASES, play_case
from plan_campaign.child import ChildError, answer, run_child
from plan_campaign.configurations import Configuration, named, playable
from plan_campaign.first import first, touch
from plan_campaign.later import later
from plan_campaign.leaves import RUNS, leaves
from plan_campaign.report import (
    CASES_HEADER,
    HEADER,
    LEAVES_HEADER,
    Row,
    case_lines,
    leaves_line,
    summary,
)
from plan_campaign.ways import PLANNED

from adjoint.units import format_bytes

PARTS = ("runs", "cases", "leaves")
FIRST_PROCESSES = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", 1)[0],
        epilog=(__doc__ or "").split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--quick", action="store_true", help="12 rounds, no first evaluations")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that is found there")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    found: dict[str, Any] = {"machine": machine()}
    if not given.list:
        print(f"{found['machine']}\n")
    for part, play in zip(PARTS, (runs, cases, leaves_of_plans), strict=True):
        if part in given.parts:
            found[part] = play(given)
            if given.json is not None and not given.list:
                given.json.write_text(json.dumps(found, indent=1))


def machine() -> str:
    """Return the machine and the versions on which all of it is played."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(": ")[1] for x in lines if x.startswith("model name")), model)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{model}, {os.cpu_count()} cores, {format_bytes(memory)}; {platform.platform()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def listed(given: argparse.Namespace, names: Iterable[str], header: str) -> list[str]:
    """Return the names that are asked for; print them, or the header of what is found of them."""
    names = [name for name in names if not given.only or any(word in name for word in given.only)]
    if names:
        print("\n".join(names) if given.list else header, flush=True)
    return [] if given.list else names


def runs(given: argparse.Namespace) -> list[Any]:
    """Play configurations beside their rivals."""
    rows = []
    for name in listed(given, playable(given.only), HEADER):
        rows.append(played(named(name), given.folder, quick=given.quick))
        print(rows[-1].line(), flush=True)
    if rows:
        print("\n" + "\n".join(summary(rows)) + "\n")
    return [row.as_dict() for row in rows]


def cases(given: argparse.Namespace) -> dict[str, Any]:
    """Play the cases that have bounds of their own."""
    found = {}
    for name in listed(given, CASES, CASES_HEADER):
        case = CASES[name]
        if importlib.util.find_spec(case.needs) is None:
            print(f"| {name} | not played: there is no {case.needs} | | | |", flush=True)
            continue
        try:
            found[name] = run_child(given.folder, "case", name, how(given.quick))
            print("\n".join(case_lines(name, case.bounds, found[name])), flush=True)
        except ChildError as error:
            print(f"| {name} | {error} | | | |", flush=True)
    return found


def leaves_of_plans(given: argparse.Namespace) -> dict[str, Any]:
    """Plan again and again."""
    found = {}
    for run in listed(given, RUNS, LEAVES_HEADER):
        found[run] = run_child(given.folder, "leaves", run, how(given.quick))
        print(leaves_line(run, found[run]), flush=True)
    return found


def how(quick: bool) -> str:
    """Return the word by which a child knows how long to play."""
    return "quick" if quick else "full"


def played(configuration: Configuration, folder: Path, *, quick: bool) -> Row:
    """Return what is found of a configuration."""
    row = Row(configuration.name, configuration.file)
    needs = configuration.model.needs
    if importlib.util.find_spec(needs) is None:
        row.failure = f"not played: there is no {needs}"
        return row
    try:
        if not quick:
            row.untouched = in_process(configuration, folder, "first", "")
        row.found = in_process(configuration, folder, "later", how(quick))
        if not quick:
            row.firsts = firsts(configuration, folder, row.found)
    except ChildError as error:
        row.failure = str(error).replace("|", "/")
    return row


def firsts(
    configuration: Configuration, folder: Path, found: dict[str, Any]
) -> dict[str, list[dict[str, float]]]:
    """Return first evaluations of every way, some of each, in turns."""
    most = max(found["bytes"].values())
    run_child(folder, "touch", str(int(1.2 * most * configuration.ranks)))
    schedules = {PLANNED: ""} | found["rivals"]
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in schedules}
    for _ in range(FIRST_PROCESSES):
        for name, schedule in schedules.items():
            taken[name].append(in_process(configuration, folder, "first", schedule))
    return taken


def in_process(configuration: Configuration, folder: Path, part: str, argument: str) -> Any:
    """Return what a part of the campaign finds of a configuration, in a process of its own."""
    return run_child(folder, part, configuration.name, argument, ranks=configuration.ranks)


def child(folder: str, part: str, name: str, argument: str = "") -> None:
    """Play one part, in this process, and leave what it finds in the folder."""
    place, quick, comm = Path(folder), argument == "quick", None
    found: Any = None
    if part == "touch":
        touch(int(name))
    elif part == "case":
        found = play_case(CASES[name], place, quick=quick)
    elif part == "leaves":
        found = leaves(name, place, quick=quick)
    else:
        configuration = named(name)
        if configuration.ranks > 1:
            comm = importlib.import_module("mpi4py.MPI").COMM_WORLD
        if part == "later":
            found = later(configuration, place, comm, quick=quick)
        else:
            found = first(configuration, place, argument, comm)
    answer(place, found, comm)


if __name__ == "__main__":
    main()
