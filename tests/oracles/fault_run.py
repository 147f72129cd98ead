"""One gradient that may be killed, told to end, or fail: a program, to be run under mpirun.

    python fault_run.py FOLDER CASE

`CASE` is JSON: ``seed``, ``steps``, ``schedule`` (a name below), ``engine``, ``resume``,
``pause``, ``disk`` (the folder of its file, in `FOLDER`). The gradient's bytes go to
``FOLDER/result-RANK``, what there was of it to ``FOLDER/said-RANK``, or its error to
``FOLDER/refused-RANK``. Without a schedule every state is kept in memory: that is the reference.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    Multistage,
    Revolve,
    Spilling,
    StoreAll,
    TapesInFile,
)
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

NUM_PENDULUMS = 400

COSTS = Costs(advance=1e-4, pull_back=2e-4, write=8e-4, read=8e-4)
SLOW = Costs(advance=1e-4, unreached=1e-4, pull_back=1e-4, write=1e-3, read=1e-3)

QUICK = Costs(1e-4, unreached=1e-4, write=1e-4, read=1e-4, piece_write=3e-5, piece_read=3e-5)


def tapes_in_file(num_steps, leaf):
    return TapesInFile(
        num_steps, 1 + 3 * leaf, leaf, costs=QUICK, tape_pieces=leaf, leaf_steps=leaf
    )


SCHEDULES = {
    "Asynchronous": lambda n: Asynchronous(n, 4, 20),
    "Multistage": lambda n: Multistage(n, 3, 6),
    "DiskRevolve": lambda n: DiskRevolve(n, 3, write=8, read=8),
    "Revolve": lambda n: Revolve(n, 6),
    "Spilling": lambda n: Spilling(n, 4, 9.5, costs=COSTS),
    "Spilling, leaves": lambda n: Spilling(n, 4, 12.0, costs=COSTS, leaf_steps=3),
    "Spilling, tapes": lambda n: Spilling(n, 6, 10.0, costs=COSTS, tape_slots=1),
    "Spilling, few slots": lambda n: Spilling(n, 4, 20.0, costs=SLOW, tape_slots=1),
    "tapes in the file": lambda n: tapes_in_file(n, 1),
    "tapes in the file, leaves": lambda n: tapes_in_file(n, 3),
}


def communicator():
    """Return MPI's, if this program was started by mpirun."""
    names = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")
    if not any(name in os.environ for name in names):
        return None
    from mpi4py import MPI  # noqa: PLC0415

    return MPI.COMM_WORLD


def bytes_of(result):
    """Return the cost and the gradient, to the last bit."""
    arrays = [np.array(result.cost), *(result.gradient[name] for name in sorted(result.gradient))]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def evaluate(case, comm, folder, engine=None):
    """Return the result of one evaluation of a case."""
    steps, name = case["steps"], case.get("schedule")
    stepper = CoupledPendulums(
        NUM_PENDULUMS, steps, comm, pause=case.get("pause", 0.0), seed=case["seed"]
    )
    if name is None:
        leaf = case.get("leaf", 1)
        return adjoint.gradient(
            stepper, steps, comm=comm, schedule=StoreAll(steps, leaf_steps=leaf)
        )
    return adjoint.gradient(
        stepper,
        steps,
        comm=comm,
        schedule=SCHEDULES[name](steps),
        file=folder / case.get("disk", "") / "run.h5",
        engine=engine or case.get("engine"),
        resume=case.get("resume", False),
        max_lost_share=0.02,
    )


def main():
    folder, case = Path(sys.argv[1]), json.loads(sys.argv[2])
    # Small runs are to have as many beats and records as long ones.
    status_exchange.EXCHANGE_SECONDS = 0.01
    journal.MIN_GAP = 1
    comm = communicator()
    rank = 0 if comm is None else comm.Get_rank()
    CoupledPendulums.started = folder / f"process-{rank}"
    CoupledPendulums.ended = folder / f"ended-{rank}"
    try:
        result = evaluate(case, comm, folder)
    except adjoint.AdjointError as error:
        (folder / f"refused-{rank}").write_text(f"{type(error).__name__}: {error}")
        raise
    (folder / f"said-{rank}").write_text(str(result.report))
    (folder / f"result-{rank}").write_bytes(bytes_of(result))


if __name__ == "__main__":
    main()
