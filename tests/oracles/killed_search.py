"""A search on ranks, with a file, a journal and a log, killed at random moments until it is done.

    mpirun -n 2 python killed_search.py FOLDER METHOD [SECONDS]

is one attempt; one rank is killed after so many seconds of it. What was found goes to FOLDER.
`Campaign` makes attempts; ``python killed_search.py KILLS`` makes as many as it takes for so many.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.inverse import EvaluationLog, Inversion, Tikhonov, Unknown
from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

NUM_STEPS, PAUSE, ITERATIONS = 30, 0.0005, 2
COSTS = Costs(advance=1e-4, pull_back=2e-4, write=8e-4, read=8e-4)
METHODS = ("L-BFGS-B", "Newton-CG")
ATTEMPT_SECONDS = 200


class Pendulums(CoupledPendulums):
    """Those whose derivatives are all in the functions of their steps."""

    finish = adjoint.FunctionStepper.finish


def attempt(folder, method, comm):
    """Search, or go on with the search that was killed; save what was found."""
    journal.MIN_GAP = 1  # small runs are to have as many records as long ones
    stepper = Pendulums(400, NUM_STEPS, comm, pause=PAUSE)
    schedule = Spilling(NUM_STEPS, 4, 9.5, costs=COSTS)
    options = {"schedule": schedule, "file": folder / "run.h5", "resume": True}
    with (
        adjoint.Functional(stepper, NUM_STEPS, comm=comm, max_lost_share=0.02, **options) as cost,
        Inversion(
            cost,
            [Unknown("force"), Unknown("stiffness"), Unknown("angle")],
            terms={"force": Tikhonov(1.0), "angle": Tikhonov(0.1)},
            log=EvaluationLog(folder / "log"),
        ) as inversion,
    ):
        found = inversion.minimise(method, max_iterations=ITERATIONS)
    resumed = cost.report is not None and "resumed" in str(cost.report)
    if comm.rank == 0:
        names = ("x", "cost", "iterations", "replayed")
        values = {name: getattr(found, name) for name in names}
        np.savez(folder / "found.npz", **values, count=len(found.history), resumed=resumed)


class Campaign:
    """Searches killed and begun again, in one folder."""

    def __init__(self, folder, mpirun, ranks=2):
        self.folder, self.command = Path(folder), [str(mpirun), "-n", str(ranks), sys.executable]
        self.kills = 0
        """How many searches were killed so far."""

    def run(self, method, seed, most=1000):
        """Kill a search at most so often; return the bits found, with and without kills."""
        draw = random.Random(seed)
        whole, killed = self.folder / f"whole-{seed}", self.folder / f"killed-{seed}"
        whole.mkdir()
        killed.mkdir()
        assert self.start(whole, method) == 0
        while most and self.start(killed, method, 10 ** draw.uniform(-2.3, -0.3)) != 0:
            self.kills += 1
            most -= 1
            with (killed / "log").open("a+b") as log:  # as if the disk had lost the last bytes
                log.truncate(max(0, log.seek(0, 2) - draw.choice([0, draw.randint(0, 60)])))
        if not (killed / "found.npz").exists():
            assert self.start(killed, method) == 0
        assert (killed / "log").read_bytes() == (whole / "log").read_bytes()
        return bits(whole), bits(killed)

    def start(self, folder, method, seconds=None):
        """Return the exit code of one attempt, killed after so many seconds."""
        program = Path(__file__)
        path = os.pathsep.join([str(program.parents[2]), str(program.parent)])
        command = [*self.command, str(program), str(folder), method]
        return subprocess.run(
            command if seconds is None else [*command, str(seconds)],
            env={**os.environ, "PYTHONPATH": path},
            check=False,
            timeout=ATTEMPT_SECONDS,
            capture_output=seconds is not None,
        ).returncode


def bits(folder):
    """Return what was found, to the last bit."""
    with np.load(folder / "found.npz") as found:
        return {name: found[name].tobytes() for name in ("x", "cost", "iterations", "count")}


def main():
    """Make one attempt."""
    from mpi4py import MPI  # noqa: PLC0415

    comm = MPI.COMM_WORLD
    if len(sys.argv) > 3 and comm.rank == comm.size - 1:
        killing = threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL))
        killing.daemon = True
        killing.start()
    attempt(Path(sys.argv[1]), sys.argv[2], comm)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main()
    else:
        with tempfile.TemporaryDirectory() as name:
            campaign, seed = Campaign(name, "mpirun"), 0
            while campaign.kills < int(sys.argv[1]):
                whole, killed = campaign.run(METHODS[seed % 2], seed, most=12)
                verdict = "the same bits" if whole == killed else "WRONG"
                print(f"{METHODS[seed % 2]}: {campaign.kills} kills so far, {verdict}", flush=True)
                seed += 1
