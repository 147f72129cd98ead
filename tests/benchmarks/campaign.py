"""Plans against schedules given by hand, on thirty real computations.

    python tests/benchmarks/campaign.py [--only WORDS ...] [--quick] [--json FILE]

Each configuration is a computation, a size and a memory. In one process, the plan and every
schedule of a set that fits in the same bytes evaluate the gradient round after round in random
order. The ratio of the plan's time to that of the best rival, picked in the odd rounds, is judged
in the even ones, with a 90 % interval. Rounds in which two evaluations of the plan differ by more
than 6 %, or others took the processor, are void. First evaluations are timed in fresh processes.

It takes hours, on a machine that does nothing else. ``--quick`` plays 7 rounds and no first
evaluations: it shows large losses. ``--only`` plays what has one of the words in its name, and
``--only tiny`` something that takes seconds. What is marked with ! is not as it should be.
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from plan_campaign.child import ChildError, answer, run_child
from plan_campaign.configurations import Configuration, chosen, named
from plan_campaign.first import first, touch
from plan_campaign.later import later
from plan_campaign.report import HEADER, Row, as_json, summary
from plan_campaign.ways import PLANNED

FIRST_PROCESSES = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", 1)[0],
        epilog=(__doc__ or "").split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--quick", action="store_true", help="7 rounds, no first evaluations")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that is found there")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
    elif given.list:
        print("\n".join(each.name for each in chosen(given.only)))
    else:
        campaign(given)


def campaign(given: argparse.Namespace) -> None:
    """Play the configurations that are asked for; print a table."""
    print(HEADER, flush=True)
    rows = []
    for configuration in chosen(given.only):
        rows.append(played(configuration, given.folder, quick=given.quick))
        print(rows[-1].line(), flush=True)
        if given.json is not None:
            given.json.write_text(as_json(rows))
    print("\n" + "\n".join(summary(rows)))


def played(configuration: Configuration, folder: Path, *, quick: bool) -> Row:
    """Return what is found of a configuration."""
    row = Row(configuration.name, configuration.file)
    needs = configuration.model.needs
    if importlib.util.find_spec(needs) is None:
        row.failure = f"not played: there is no {needs}"
        return row
    how = "quick" if quick else "full"
    try:
        if not quick:
            row.untouched = in_process(configuration, folder, "first", "")
        row.found = in_process(configuration, folder, "later", how)
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
    if part == "touch":
        touch(int(name))
        return answer(Path(folder), None, None)
    configuration, place = named(name), Path(folder)
    comm = None
    if configuration.ranks > 1:
        comm = importlib.import_module("mpi4py.MPI").COMM_WORLD
    if part == "later":
        found: Any = later(configuration, place, comm, quick=argument == "quick")
    else:
        found = first(configuration, place, argument, comm)
    return answer(place, found, comm)


if __name__ == "__main__":
    main()
