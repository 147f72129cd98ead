"""What each engine's transfers take of a numba kernel's time, on this machine, in this folder.

    python tests/benchmarks/engine_overlap.py [FOLDER]
    mpirun -n 2 python tests/benchmarks/engine_overlap.py [FOLDER]

`adjoint probe` with a stencil in place of a copy of the state: five points, single precision,
without the interpreter's lock. Each line is a median of runs one after the other in this process;
`seen` is in units of the write alone, so that 0 is hidden and 1 is not.
"""

import os
import statistics
import sys

import numba
import numpy as np

from adjoint.measurement.probe import Probe
from adjoint.measurement.synthetic import opener
from adjoint.parallel import communicator
from adjoint.steppers import FunctionStepper
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.registry import engine_names
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.buffers import CopyingBuffers

SIDES = (128, 724, 2048)
RUNS = 5


@numba.njit(nogil=True)
def stencil(u, out):
    for i in range(1, u.shape[0] - 1):
        for j in range(1, u.shape[1] - 1):
            around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
            out[i, j] = np.float32(0.25) * around


class Stencil(FunctionStepper):
    def __init__(self, side):
        field = np.random.default_rng(0).random((side, side), np.float32)
        super().__init__({"u": field}, {})

    def step(self, step, state, out):
        stencil(state["u"], out["u"])

    def step_vjp(self, *given):
        pass


def measured(side, folder, comm):
    """Return the step time, and for each engine what was measured, run by run."""
    stepper = Stencil(side)
    layout = StateLayout.of(stepper.state)
    probe = Probe(
        stepper,
        10**9,
        1,
        lambda slots, _leaf: CopyingBuffers(stepper, BlockPool(layout, slots + 1)),
        comm,
    )
    found = {}
    for _ in range(RUNS):
        survey = probe.engines(engine_names(comm), opener(folder, comm), exhaustive=True)
        for engine, overlap in survey.found.items():
            found.setdefault(engine, []).append(overlap)
    return probe.costs().advance, found


def main():
    mpi = None
    if any(name in os.environ for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")):
        from mpi4py import MPI  # noqa: PLC0415  # only where there are ranks

        mpi = MPI.COMM_WORLD
    comm = communicator(mpi)
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    for side in SIDES:
        step, found = measured(side, folder, comm)
        if comm.rank:
            continue
        nbytes = 4 * side * side
        print(f"state {nbytes / 2**20:.2f} MiB, step {1e3 * step:.3f} ms, {comm.size} ranks")
        for engine, runs in found.items():
            of = {
                name: statistics.median(getattr(run, name) for run in runs)
                for name in runs[0].__slots__
                if name not in {"engine", "cached"}
            }
            print(
                f"  {engine:7} write {nbytes / of['write_seconds'] / 1e9:5.2f} GB/s"
                f"  read {nbytes / of['read_seconds'] / 1e9:5.2f} GB/s"
                f"  while computing {nbytes / of['write_while_computing'] / 1e9:5.2f} GB/s"
                f"  in call {1e3 * of['post_seconds']:.3f} ms"
                f"  seen {of['seen_seconds'] / of['write_seconds']:.2f}"
                f"  read seen {of['read_seen_seconds'] / of['read_seconds']:.2f}"
                f"  slowdown {of['slowdown']:.2f}"
            )
    comm.free()


if __name__ == "__main__":
    main()
