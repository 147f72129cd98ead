"""System calls that fail, fall short or kill a rank, at random places of runs under mpirun.

What must come of it is that of `fault_forks`: on all ranks the right bits, or on all an
error of files, or a kill; and then, resumed, the right bits.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fault_forks import (
    COUNTS,
    FAULTS,
    HANG,
    KILLED,
    LASTING,
    REFUSED,
    RIGHT,
    SCHEDULES,
    WRONG,
    Outcome,
    Point,
    Run,
)
from io_faults import IoFaults

PROGRAM = Path(__file__).with_name("fault_run.py")
RUN_SECONDS = 60
ONE_LINE = re.compile("(SnapshotFileError|TransferError): .*")
NUM_STEPS = 60


@dataclass(frozen=True)
class RankPoint(Point):
    """What fails, and on which rank."""

    rank: int = 0


class Campaign:
    """Runs in one folder, with one mpirun."""

    def __init__(self, folder, mpirun, ranks):
        self.scratch = Path(folder)
        self.mpirun, self.ranks = mpirun, ranks
        self.bits, self.calls = {}, {}

    def play(self, seed, engines) -> tuple[RankPoint, Outcome]:
        """Draw a fault, run with it, and resume."""
        draw = random.Random(seed)
        run = Run(draw.choice(list(engines)), draw.choice(SCHEDULES), False)
        rank = draw.randrange(self.ranks)
        if run.schedule not in self.bits:
            self.bits[run.schedule] = self.reference(run.schedule)
        if run not in self.calls:
            self.calls[run] = self.number_of_calls(run)
        first = draw.randint(1, self.calls[run][rank])
        fault = draw.choice(list(FAULTS))
        count = draw.choice(COUNTS.get(fault, (1, 2, LASTING)))
        point = RankPoint(**asdict(run), fault=fault, first=first, count=count, rank=rank)
        folder = self.scratch / f"run-{seed}"
        (folder / "disk").mkdir(parents=True)
        return point, self.judged(folder, point)

    def judged(self, folder, point) -> Outcome:
        what = FAULTS[point.fault]
        faults = IoFaults(folder / "disk", "any", point.first, what, point.count, point.rank)
        outcome = self.start(folder, point, faults=faults)
        hit = any(call.is_fault for call in faults.calls(self.scratch, point.rank))
        if outcome.end == KILLED and not (point.fault == "kill" and hit):
            outcome = Outcome(WRONG, f"ended without a word: {outcome.trouble}")
        elif outcome.end == KILLED:
            outcome.trouble = ""
        if outcome.trouble:
            return outcome
        after = self.start(folder, point, resume=True)
        if after.end == RIGHT:
            return outcome
        return Outcome(HANG if after.end == HANG else WRONG, f"then {after.end}: {after.trouble}")

    def reference(self, schedule):
        """Return the bits, by rank, of keeping every state in memory."""
        folder = self.scratch / f"memory-{schedule}"
        folder.mkdir()
        outcome = self.start(folder, Run("memory", schedule, False))
        assert outcome.end == RIGHT, outcome
        return self.results(folder)

    def number_of_calls(self, run):
        """Return how many calls there are on each rank, without a fault."""
        folder = self.scratch / f"count-{run.engine}-{run.schedule}"
        (folder / "disk").mkdir(parents=True)
        faults = IoFaults(folder / "disk")
        outcome = self.start(folder, run, faults=faults)
        assert outcome.end == RIGHT, outcome
        return [len(faults.calls(self.scratch, rank)) for rank in range(self.ranks)]

    def results(self, folder):
        paths = [folder / f"result-{rank}" for rank in range(self.ranks)]
        return [path.read_bytes() if path.exists() else b"" for path in paths]

    def start(self, folder, run, *, faults=None, resume=False) -> Outcome:
        """Run a program on all ranks; return how it ended."""
        for path in (*folder.glob("result-*"), *folder.glob("refused-*")):
            path.unlink()
        case = {"seed": 4, "steps": NUM_STEPS, "schedule": run.schedule, "engine": run.engine}
        case |= {"resume": resume, "disk": "disk"}
        if run.engine == "memory":
            case["schedule"] = None
        environment = dict(os.environ) if faults is None else faults.environment(self.scratch)
        command = [str(self.mpirun), "-n", str(self.ranks), sys.executable, str(PROGRAM)]
        process = subprocess.Popen(
            [*command, str(folder), json.dumps(case)],
            env={**environment, "ADJOINT_TRANSFER_DEADLINE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=5)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return Outcome(HANG, f"no end after {RUN_SECONDS} s")
        return self.outcome(folder, run, process.returncode, output)

    def outcome(self, folder, run, code, output) -> Outcome:
        results = self.results(folder)
        refusals = [path.read_text() for path in folder.glob("refused-*")]
        expected = self.bits.get(run.schedule, results)
        if any(bits not in (b"", right) for bits, right in zip(results, expected, strict=True)):
            return Outcome(WRONG, "other bits")
        if code == 0 and all(results):
            return Outcome(RIGHT)
        if len(refusals) == self.ranks and all(ONE_LINE.fullmatch(text) for text in refusals):
            return Outcome(REFUSED)
        return Outcome(KILLED, f"exit code {code}, {refusals}: {output[-2000:]}")
