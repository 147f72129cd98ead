"""How near a gradient with a file comes to its prediction, to Revolve, and to writing in step.

    [mpirun -n 2] python tests/benchmarks/engine_against_replay.py
        [--ratios 0.5 10 50 200] [--steps 1000 10000] [--megabytes 0.02 0.25 2] [--real FOLDER]

A step is a real kernel (shallow water) of each state size. A throttled store makes a write and a
read take so many times a step; its file is in memory where the system has a folder for that, lest
a disk behind it make some of them slower. With ``--real`` the file is on the disk of a folder
instead. Memory is for 16 states. All of a row is taken in one run:

taken        seconds of the gradient, planning and probe not included
predicted    taken over what `adjoint.replay` says of the schedule, on the costs that were measured
again        the same for the third evaluation, which goes by what the one before has measured
stalls       share of the third in which the computation stood still for transfers
revolve      taken again over what Revolve takes with the same memory
in step      over what waiting for every transfer takes with the same memory (disk-Revolve)
plan         what was chosen
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "oracles"), str(Path(__file__).parent)]

from closed_basin import closed_basin  # noqa: E402
from fault_run import communicator  # noqa: E402
from throttled_engine import Throttle  # noqa: E402

import adjoint  # noqa: E402
from adjoint.schedules import DiskRevolve, Revolve  # noqa: E402

SLOTS = 16

IN_MEMORY = "/dev/shm"

SLOW = 100.0
"""Steps that a write takes on a disk of which nothing is known but that it is too slow."""


def seconds_of(functional):
    """Return what one gradient took, planning not included."""
    functional.value_and_gradient()
    return functional.report.seconds


def measured(stepper, num_steps, comm, ratio, folder):
    """Print one row."""
    state = sum(array.nbytes for array in stepper.state.values())
    step = step_seconds(stepper, comm)
    engine = None if ratio is None else Throttle(ratio * step, ratio * step)
    options = {"comm": comm, "memory": (SLOTS + 2) * state, "file": folder, "engine": engine}
    with adjoint.Functional(stepper, num_steps, **options) as functional:
        first = seconds_of(functional)
        predicted = functional.report.predicted_seconds
        seconds_of(functional)
        again = seconds_of(functional)
        report = functional.report
    foreseen = report.predicted_seconds
    with adjoint.Functional(
        stepper, num_steps, comm=comm, schedule=Revolve(num_steps, SLOTS)
    ) as functional:
        revolve = seconds_of(functional)
    moved = report.bytes_written + report.bytes_read
    # Where nothing was moved, a disk of its speed would have been too slow to be used.
    write = report.transfer_seconds / moved * state / step if moved else ratio or SLOW
    write = write if comm is None else comm.bcast(write)
    disk = DiskRevolve(num_steps, SLOTS - 2, write=max(0.01, write), read=max(0.01, write))
    with adjoint.Functional(
        stepper, num_steps, schedule=disk, **without_memory(options)
    ) as functional:
        in_step = seconds_of(functional)
    if comm is None or comm.Get_rank() == 0:
        told = "real" if ratio is None else f"{ratio:g}"
        print(
            f"{state / 1e6:8.2f}{1e3 * step:9.3f}{told:>7}{num_steps:8}{first:9.2f}"
            f"{first / predicted:11.3f}{again / foreseen:8.3f}{report.stall_share:8.1%}"
            f"{again / revolve:9.2f}{again / in_step:9.2f}   {report.schedule}",
            flush=True,
        )


def without_memory(options):
    return {name: value for name, value in options.items() if name != "memory"}


def step_seconds(stepper, comm):
    """Return what a step takes, the same on all ranks."""
    import time  # noqa: PLC0415

    stepper.start()
    stepper.advance(0, 50)
    began = time.perf_counter()
    stepper.advance(0, 200)
    seconds = (time.perf_counter() - began) / 200
    return seconds if comm is None else comm.bcast(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ratios", type=float, nargs="*", default=[0.5, 10.0, 50.0, 200.0])
    parser.add_argument("--steps", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--megabytes", type=float, nargs="*", default=[0.02, 0.25, 2.0])
    parser.add_argument("--real", metavar="FOLDER", help="use the disk there, as fast as it is")
    options = parser.parse_args()
    comm = communicator()
    if comm is None or comm.Get_rank() == 0:
        print(f"{os.cpu_count()} cores; {1 if comm is None else comm.Get_size()} ranks")
        print(
            f"{'MB':>8}{'ms':>9}{'w/u_f':>7}{'steps':>8}{'taken':>9}{'predicted':>11}{'again':>8}"
            f"{'stalls':>8}{'revolve':>9}{'in step':>9}   plan"
        )
    place = options.real or (IN_MEMORY if os.path.isdir(IN_MEMORY) else None)
    with tempfile.TemporaryDirectory(dir=place) as own:
        folder = own if comm is None else comm.bcast(own)
        for megabytes in options.megabytes:
            for ratio in [None] if options.real else options.ratios:
                for num_steps in options.steps:
                    stepper = closed_basin(int(megabytes * 1e6))
                    measured(stepper, num_steps, comm, ratio, folder)
        if comm is not None:
            comm.Barrier()


if __name__ == "__main__":
    main()
