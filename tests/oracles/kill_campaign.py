"""Runs that are killed or told to end at random moments, and resumed until they are done.

Each must end, within its timeout, in the very bits of the gradient for which every state was kept
in memory, on as many ranks.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fault_run import SCHEDULES

PROGRAM = Path(__file__).with_name("fault_run.py")

RUN_SECONDS = 60

KINDS = ("SIGKILL to one rank", "SIGKILL to all", "SIGUSR1 to all", "SIGTERM to one rank")


@dataclass
class Outcome:
    """How one run of the campaign ended."""

    seed: int
    kind: str
    ranks: int
    schedule: str
    ok: bool = False
    attempts: int = 0
    resumed: list[str] = field(default_factory=list)
    trouble: str = ""

    def __str__(self):
        end = "the right bits" if self.ok else f"WRONG: {self.trouble}"
        places = "; ".join(self.resumed) or "nothing"
        return (
            f"{self.seed:4} {self.kind:20} {self.ranks} ranks {self.schedule:17} "
            f"{self.attempts} attempts, resumed {places}: {end}"
        )


class Campaign:
    """Runs in one folder, with the mpirun of one environment."""

    def __init__(self, folder, mpirun, *, steps=400, pause=0.0005):
        self.folder = Path(folder)
        self.mpirun = mpirun
        self.steps, self.pause = steps, pause
        self.references = {}

    def reference(self, ranks):
        """Return the bits, by rank, of keeping everything."""
        if ranks not in self.references:
            folder = self.folder / f"reference-{ranks}"
            folder.mkdir()
            process = self.start(folder, ranks, {"seed": 1, "steps": self.steps})
            output, _ = process.communicate(timeout=RUN_SECONDS)
            assert process.returncode == 0, output
            self.references[ranks] = self.results(folder, ranks)
        return self.references[ranks]

    def run(self, seed):
        """Kill and resume one run."""
        draw = random.Random(seed)
        kind, ranks = KINDS[seed % len(KINDS)], draw.choice([1, 2, 3])
        schedule = draw.choice(list(SCHEDULES))
        outcome = Outcome(seed, kind, ranks, schedule)
        expected = self.reference(ranks)
        folder = self.folder / f"run-{seed}"
        folder.mkdir()
        case = {"seed": 1, "steps": self.steps, "schedule": schedule, "pause": self.pause}
        case["engine"] = draw.choice(["thread", "mpi"]) if ranks > 1 else "thread"
        try:
            self.until_done(folder, ranks, case, kind, draw, outcome)
        except subprocess.TimeoutExpired:
            outcome.trouble = f"still running after {RUN_SECONDS} s"
            return outcome
        outcome.ok = not outcome.trouble and self.results(folder, ranks) == expected
        if not outcome.ok and not outcome.trouble:
            outcome.trouble = "other bits"
        return outcome

    def until_done(self, folder, ranks, case, kind, draw, outcome):
        kills = draw.randint(1, 2)
        while not outcome.trouble:
            resume = outcome.attempts > 0
            outcome.attempts += 1
            process = self.start(folder, ranks, {**case, "resume": resume})
            killed = outcome.attempts <= kills and self.strike(process, folder, ranks, kind, draw)
            output, _ = process.communicate(timeout=RUN_SECONDS)
            if process.returncode == 0:
                said = (folder / "said-0").read_text()
                outcome.resumed += [
                    line.partition("from")[2].strip()
                    for line in said.splitlines()
                    if line.startswith("resumed from")
                ]
                return
            if not killed:
                outcome.trouble = f"exit code {process.returncode}: {output[-2000:]}"
            elif kind.startswith("SIGKILL") or "RunInterruptedError" in output:
                continue
            elif "Traceback" in output or not any(folder.glob("ended-*")):
                # After both sweeps, a signal does what it does to any program: no word of it.
                outcome.trouble = f"no word of what happened: {output[-2000:]}"

    def strike(self, process, folder, ranks, kind, draw):
        """Send the signal once the ranks run; return whether it was sent to a running program."""
        files = [folder / f"process-{rank}" for rank in range(ranks)]
        deadline = time.monotonic() + RUN_SECONDS
        while not all(file.exists() and file.read_text() for file in files):
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        # Importing is over, so the run takes about so long.
        time.sleep(draw.uniform(0.02, 3.5 * self.steps * self.pause))
        number = getattr(signal, kind.partition(" ")[0])
        to = files if kind.endswith("all") else [draw.choice(files)]
        struck = process.poll() is None
        for file in to:
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), number)
        for file in files:
            file.unlink()
        return struck

    def start(self, folder, ranks, case):
        for mark in folder.glob("ended-*"):
            mark.unlink()
        command = [sys.executable, str(PROGRAM), str(folder), json.dumps(case)]
        if ranks > 1:
            command = [self.mpirun, "-n", str(ranks), *command]
        root = PROGRAM.parent.parent.parent
        environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{PROGRAM.parent}"}
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def results(self, folder, ranks):
        return [(folder / f"result-{rank}").read_bytes() for rank in range(ranks)]
