"""Exact gradients of very long time-stepping computations, in bounded memory.

Public names are loaded when they are first used; importing this package imports neither mpi4py
nor h5py, and never initialises MPI.
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adjoint import replay, schedules, verification
    from adjoint.driver.options import RunOptions
    from adjoint.errors import (
        AdjointError,
        ArgumentError,
        CallError,
        NonFiniteError,
        ReplayError,
        RunInterruptedError,
        ScheduleError,
        SnapshotFileError,
        SolveError,
        StepperError,
        TransferError,
    )
    from adjoint.functional import Functional, Result, gradient
    from adjoint.reporting.report import Report
    from adjoint.steppers import Capabilities, FunctionStepper, Stepper
    from adjoint.storage.reader import Snapshots, open_snapshots

__all__ = [
    "AdjointError",
    "ArgumentError",
    "CallError",
    "Capabilities",
    "FunctionStepper",
    "Functional",
    "NonFiniteError",
    "ReplayError",
    "Report",
    "Result",
    "RunInterruptedError",
    "RunOptions",
    "ScheduleError",
    "SnapshotFileError",
    "Snapshots",
    "SolveError",
    "Stepper",
    "StepperError",
    "TransferError",
    "gradient",
    "open_snapshots",
    "replay",
    "schedules",
    "verification",
]

__version__ = "0.1.0"

_EXPORTS = {
    "Capabilities": "steppers",
    "FunctionStepper": "steppers",
    "Functional": "functional",
    "Report": "reporting.report",
    "Result": "functional",
    "RunOptions": "driver.options",
    "Snapshots": "storage.reader",
    "Stepper": "steppers",
    "gradient": "functional",
    "open_snapshots": "storage.reader",
}
_MODULES = {
    "replay": "simulation.replay",
    "schedules": "schedules",
    "verification": "verification",
}


def _occupy_standard_streams() -> None:
    """Open the null device in place of a standard stream that is closed.

    Otherwise the next file opened would be that stream, and messages would be written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


_occupy_standard_streams()


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"adjoint.{_MODULES[name]}")
    if name not in __all__:
        raise AttributeError(f"module 'adjoint' has no attribute {name!r}")
    if name in _EXPORTS:
        # All that a run needs is loaded now, and not when ranks are inside a collective call: where
        # one of them could not load it, the others would wait.
        importlib.import_module("adjoint.functional")
    value = getattr(importlib.import_module(f"adjoint.{_EXPORTS.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
