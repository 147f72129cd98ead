"""How fast this machine copies a state, writes it to a file and reads it back, without a solver.

A synthetic stepper, whose step is a copy of its state, is measured by the same `Probe`, through the
same store and engines, that a gradient would use. States are random numbers, because a file system
that compresses would be too fast on anything else.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from adjoint import storage
from adjoint.errors import ArgumentError
from adjoint.measurement import constants
from adjoint.measurement.engines import choose_engine, likeliest_first
from adjoint.measurement.probe import Probe, with_file
from adjoint.parallel import Communicator, communicator
from adjoint.schedules.costs import Costs
from adjoint.steppers import Arrays, FunctionStepper
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.registry import candidate_names
from adjoint.storage.file_format import FileSpec
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import CopyingBuffers

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["opener", "probe_file", "synthetic_probe"]


def probe_file(folder: str | os.PathLike[str], state_bytes: int) -> Costs:
    """Return the costs of writing, reading, posting, storing and restoring a state.

    With the engine that a gradient would use, in one process. All other costs are those of
    `Costs()`. Takes a second or two, memory for seven states of at most 32 MiB, and temporary files
    of some 64 MiB in `folder`, which are removed. Such a file may never leave the page cache: the
    costs are then those of the cache, a lower bound on those of the disk.

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
    comm = communicator(None)
    probed = min(state_bytes, constants.MAX_SYNTHETIC_BYTES)
    probe = synthetic_probe(probed, comm)
    copying = probe.costs().advance
    survey = probe.engines(
        likeliest_first(candidate_names(comm), state_bytes), opener(folder, comm)
    )
    chosen = choose_engine(survey.scaled(state_bytes / probed)).costs
    copying *= state_bytes / probed
    return with_file(Costs(store=copying, restore=copying), chosen)


def synthetic_probe(state_bytes: int, comm: Communicator) -> Probe:
    """Return a probe of steps that copy a state of `state_bytes` on each rank."""
    stepper = _Copying(state_bytes)
    layout = StateLayout.of(stepper.state)
    return Probe(
        stepper,
        constants.MAX_SYNTHETIC_STEPS,
        1,
        lambda slots, _leaf: CopyingBuffers(stepper, BlockPool(layout, slots + 1)),
        comm,
    )


def opener(
    folder: str | os.PathLike[str], comm: Communicator
) -> "Callable[[StateLayout, int, str | EngineFactory], FileStore]":
    """Return a function that opens stores in temporary files in a folder; it is collective.

    It takes the layout of a state, the number of states and the engine.
    """

    def open_store(layout: StateLayout, rows: int, engine: "str | EngineFactory") -> FileStore:
        return storage.open_store(folder, comm, FileSpec(layout, ""), rows, engine=engine)

    return open_store


class _Copying(FunctionStepper):
    """A step that copies its state: the least that a memory-bound solver does."""

    def __init__(self, state_bytes: int) -> None:
        numbers = np.random.default_rng(0).random(-(-state_bytes // 8))
        super().__init__({"state": numbers}, {})

    def step(self, step: int, state: Arrays, out: Arrays) -> None:
        del step
        np.copyto(out["state"], state["state"])

    def step_vjp(self, step: int, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        pass
