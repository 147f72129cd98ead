"""Plans against schedules given by hand, on thirty real computations.

    python tests/benchmarks/campaign.py [--only WORDS ...] [--json FILE] [--seconds N]

*runs*    Each is a computation, a size and a memory. In one process, the plan and every schedule of
          a set that fits in the same bytes evaluate the gradient, round after round in random
          order; a rival is left out once it is 10 % slower than the best one. The ratio of the
          plan's time to that of the best rival, picked in the odd rounds, is judged in the even
          ones, with a 90 % interval. First evaluations are timed in fresh processes.
*cases*   Gradients over what one would otherwise use, with bounds of their own.
*leaves*  Plans of one run, made forty times, beside leaves given by hand.

Rounds in which two evaluations of the same way differ by more than 6 %, or others took the
processor, are void. The runs take half an hour on a machine that does nothing else. With ``--json``
all that is found is kept in a file, and what is there already is not played again: so a campaign
can be played in pieces, each of about ``--seconds``. ``--only`` plays what has one of the words in
its name, and ``--only tiny`` something that takes seconds. What is marked with ! is not as it
should be.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from plan_campaign.cases import CASES, needs_rounds, play_case
from plan_campaign.child import NEVER, ChildError, Task, answer, run_child, task_in
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
from plan_campaign.rounds import Times

from adjoint.units import format_bytes

PARTS = ("runs", "cases", "leaves")
START_SECONDS = 10
"""A process that would have less time to play is not begun."""

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", 1)[0],
        epilog=(__doc__ or "").split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="what is found, to go on from")
    parser.add_argument("--seconds", type=float, metavar="N", help="begin nothing after so long")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    if given.list:
        for names in (playable(given.only), CASES, RUNS):
            print("\n".join(names))
        return
    Campaign(given).play()


class Campaign:
    """What is found, a process at a time."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._until = time.time() + given.seconds if given.seconds else NEVER
        self._found: dict[str, Any] = {part: {} for part in PARTS}
        if given.json is not None and given.json.exists():
            self._found |= json.loads(given.json.read_text())
        self._found["machine"] = machine()

    def play(self) -> None:
        """Play what is asked for and not found yet, and print it."""
        print(f"{self._found['machine']}\n")
        parts = {
            "runs": (playable(self._given.only), HEADER, self._run),
            "cases": (CASES, CASES_HEADER, self._case),
            "leaves": (RUNS, LEAVES_HEADER, self._leaves),
        }
        for part in self._given.parts:
            names, header, play = parts[part]
            words = self._given.only
            names = [name for name in names if not words or any(word in name for word in words)]
            if names:
                print(header)
            for name in names:
                print(play(name), flush=True)
        rows = [Row(**row) for row in self._found["runs"].values()]
        if rows and "runs" in self._given.parts:
            print("\n" + "\n".join(summary(rows)))
        if not self._has_time:
            print("\nNot everything has been played: run the same command again.")

    @property
    def _has_time(self) -> bool:
        return time.time() + START_SECONDS < self._until

    def _keep(self, part: str, name: str, found: Any) -> None:
        self._found[part][name] = found
        if self._given.json is not None:
            self._given.json.write_text(json.dumps(self._found, indent=1))

    # -- parts --------------------------------------------------------------------------------

    def _run(self, name: str) -> str:
        """Play a configuration beside its rivals; return its row of the table."""
        configuration = named(name)
        needs = configuration.model.needs
        if importlib.util.find_spec(needs) is None:
            return f"| {name} | not played: there is no {needs} | | | | | |"
        row = Row(**self._found["runs"].get(name, {"name": name, "file": configuration.file}))
        row.failure, playing = "", Playing(configuration, self._given.folder, self._until)
        try:
            while self._has_time and playing.next(row):
                self._keep("runs", name, asdict(row))
        except ChildError as error:
            row.failure = str(error).replace("|", "/")
            self._keep("runs", name, asdict(row))
        return row.line()

    def _case(self, name: str) -> str:
        """Play a case that has bounds of its own; return its rows of the table."""
        case, found = CASES[name], self._found["cases"].get(name)
        if importlib.util.find_spec(case.needs) is None:
            return f"| {name} | not played: there is no {case.needs} | | | |"
        if found is None or needs_rounds(case, found):
            found = self._played("cases", name, found)
        return "\n".join(case_lines(name, case.bounds, found)) if found else f"| {name} | | | | |"

    def _leaves(self, name: str) -> str:
        """Plan a run again and again; return its row of the table."""
        found = self._found["leaves"].get(name)
        if found is None or not Times(**found["times"]).are_all:
            found = self._played("leaves", name, found)
        return leaves_line(name, found) if found else f"| {name} | | | | | |"

    def _played(self, part: str, name: str, before: Found | None) -> Found | None:
        """Return what is found of a case, or of a run's leaves, after more rounds."""
        if not self._has_time:
            return before
        found = run_child(self._given.folder, Task(part, name, before=before, until=self._until))
        self._keep(part, name, found)
        return found


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


class Playing:
    """A configuration that is played, a process at a time."""

    def __init__(self, configuration: Configuration, folder: Path, until: float) -> None:
        self._configuration, self._folder, self._until = configuration, folder, until
        self._has_touched = False

    def next(self, row: Row) -> bool:
        """Add to what is found of it; return False if nothing is missing."""
        if not row.untouched:
            row.untouched = self._in_process("first")
        elif row.needs_rounds:
            row.found = self._in_process("later", before=row.found or None)
        elif row.missing_firsts:
            self._touch(row)
            name = row.missing_firsts[0]
            taken = self._in_process("first", schedule=row.found["rivals"].get(name, ""))
            row.firsts.setdefault(name, []).append(taken)
        else:
            return False
        return True

    def _touch(self, row: Row) -> None:
        """Let a process touch the memory that first evaluations use."""
        if not self._has_touched:
            most = max(row.found["bytes"].values())
            size = int(1.2 * most * self._configuration.ranks)
            run_child(self._folder, Task("touch", str(size)))
            self._has_touched = True

    def _in_process(self, part: str, **how: Any) -> Any:
        task = Task(part, self._configuration.name, until=self._until, **how)
        return run_child(self._folder, task, self._configuration.ranks)


def child(folder: Path) -> None:
    """Play one part, in this process, and leave what it finds in the folder."""
    task, comm = task_in(folder), None
    found: Any = None
    if task.part == "touch":
        touch(int(task.name))
    elif task.part == "cases":
        found = play_case(CASES[task.name], folder, task)
    elif task.part == "leaves":
        found = leaves(task)
    else:
        configuration = named(task.name)
        if configuration.ranks > 1:
            comm = importlib.import_module("mpi4py.MPI").COMM_WORLD
        play = later if task.part == "later" else first
        found = play(configuration, folder, task, comm)
    answer(folder, found, comm)


if __name__ == "__main__":
    main()
