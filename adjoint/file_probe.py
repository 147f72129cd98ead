"""How fast this machine copies a state, writes it to a file and reads it back.

For planning before there is a solver: a stand-in, whose step is a copy of its state, is measured by
the same `Probe`, through the same store and engine, that a gradient would use. States are random
numbers, lest a file system that compresses flatter itself.
"""

import importlib
import os
from typing import Any

import numpy as np

from adjoint.buffers import CopyingBuffers
from adjoint.comm import communicator
from adjoint.costs import Costs
from adjoint.errors import ArgumentError
from adjoint.probing import PROBED_STATES, Probe
from adjoint.stepping import Arrays, FunctionStepper
from adjoint.storage.layout import StateLayout
from adjoint.storage.slots import BlockPool

__all__ = ["probe_file"]

LARGEST_PROBED = 32 << 20
"""Larger states are measured at so many bytes and reckoned in proportion: seconds, not minutes."""

MOST_STEPS = 10**9
"""The stand-in may be stepped for as long as the probe likes."""


def probe_file(folder: str | os.PathLike[str], state_bytes: int) -> Costs:
    """Return what a state of so many bytes takes to be written, read, posted, stored and restored.

    The other costs are those of `Costs()`. In one process; takes a second or so, seven states of
    memory, of at most 32 MiB, and a temporary file of four in `folder`, removed again. Such a file
    may never leave the page cache: it says how fast the file can be, not how fast the disk is.

    Raises
    ------
    ArgumentError
        `folder` is not a folder.
    SnapshotFileError
        There can be no snapshot file in it.
    TransferError
        A write or a read failed.
    """
    if not os.path.isdir(folder):
        raise ArgumentError(f"cannot probe {os.fspath(folder)!r}: it is not a folder")
    probed = min(state_bytes, LARGEST_PROBED)
    with_file = _measured(folder, probed)
    share = state_bytes / probed
    return Costs(
        write=share * with_file.write,
        read=share * with_file.read,
        post=with_file.post,
        store=share * with_file.advance,
        restore=share * with_file.advance,
        slowdown=with_file.slowdown,
    )


def _measured(folder: str | os.PathLike[str], state_bytes: int) -> Costs:
    stepper, comm = _Copying(state_bytes), communicator(None)
    layout = StateLayout.of(stepper.state)
    buffers = CopyingBuffers(stepper, BlockPool(layout, 3))
    probe = Probe(stepper, MOST_STEPS, (1,), buffers, comm)
    # Loaded only where there is a file: importing h5py under mpirun may initialise MPI.
    opening: Any = importlib.import_module("adjoint.storage.opening")
    try:
        costs = probe.stepper_costs()
        rows = PROBED_STATES
        with opening.open_store(folder, comm, layout, rows, b"", engine=None) as store:
            return probe.file_costs(costs, store)[1]
    finally:
        buffers.release()


class _Copying(FunctionStepper):
    """A step that copies its state: as much as a memory-bound solver does at the least."""

    def __init__(self, state_bytes: int) -> None:
        numbers = np.random.default_rng(0).random(-(-state_bytes // 8))
        super().__init__({"state": numbers}, {})

    def step(self, step: int, state: Arrays, out: Arrays) -> None:
        del step
        np.copyto(out["state"], state["state"])

    def step_vjp(self, step: int, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        pass
