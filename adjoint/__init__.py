"""Exact gradients of very long time-stepping computations, in bounded memory.

Public names are loaded when they are first used; importing this package imports neither mpi4py
nor h5py, and never initialises MPI.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adjoint import replay, schedules, verification
    from adjoint.driver.options import RunOptions
    from adjoint.errors import (
        AdjointError,
        ArgumentError,
        CallError,
        NonFiniteError,
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


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"adjoint.{_MODULES[name]}")
    if name not in __all__:
        raise AttributeError(f"module 'adjoint' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"adjoint.{_EXPORTS.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
