"""How fast this machine copies a state, writes it to a file and reads it back.

For planning before there is a solver: a stand-in, whose step is a copy of its state, is measured by
the same `Probe`, through the same store and engine, that a gradient would use. States are random
numbers, lest a file system that compresses flatter itself.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from adjoint import storage
from adjoint.errors import ArgumentError
from adjoint.measurement.probe import Probe, with_file
from adjoint.measurement.transfers import best
from adjoint.parallel import Communicator, communicator
from adjoint.schedules.costs import Costs
from adjoint.steppers.protocol import Arrays, FunctionStepper
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.registry import engine_names
from adjoint.storage.file_format import FileSpec
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import CopyingBuffers

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["opener", "probe_file", "synthetic_probe"]

LARGEST_PROBED = 32 << 20
"""Larger states are measured at so many bytes and reckoned in proportion: seconds, not minutes."""

MOST_STEPS = 10**9
"""The stand-in may be stepped for as long as the probe likes."""


def probe_file(folder: str | os.PathLike[str], state_bytes: int) -> Costs:
    """Return what a state of so many bytes takes to be written, read, posted, stored and restored.

    By the engine that a gradient would use. The other costs are those of `Costs()`. In one process;
    takes a second or two, seven states of memory, of at most 32 MiB, and temporary files of some
    64 MiB in `folder`, removed again. Such a file may never leave the page cache: it says how fast
    the file can be, not how fast the disk is.

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
    probed = min(state_bytes, LARGEST_PROBED)
    probe = synthetic_probe(probed, comm)
    copying = probe.step_seconds()
    survey = probe.engines(engine_names(comm), opener(folder, comm))
    chosen = best(survey.scaled(state_bytes / probed)).overlap
    copying *= state_bytes / probed
    found = with_file({1: Costs(store=copying, restore=copying)}, chosen)
    return found[1]


def synthetic_probe(state_bytes: int, comm: Communicator) -> Probe:
    """Return a probe of steps that copy a state of so many bytes on each rank."""
    stepper = _Copying(state_bytes)
    layout = StateLayout.of(stepper.state)
    return Probe(
        stepper,
        MOST_STEPS,
        {1: 2},
        lambda slots: CopyingBuffers(stepper, BlockPool(layout, slots + 1)),
        comm,
    )


def opener(
    folder: str | os.PathLike[str], comm: Communicator
) -> "Callable[[StateLayout, int, str | EngineFactory], FileStore]":
    """Return what opens stores in temporary files in a folder. To call it is collective."""

    def open_store(layout: StateLayout, rows: int, engine: "str | EngineFactory") -> FileStore:
        return storage.open_store(folder, comm, FileSpec(layout, b""), rows, engine=engine)

    return open_store


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
