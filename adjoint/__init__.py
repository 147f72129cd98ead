"""Exact gradients of very long time-stepping computations, in bounded memory.

Public names are loaded when they are first used; importing this package imports neither mpi4py
nor h5py, and never initialises MPI.
"""

import importlib
import os
from typing import TYPE_CHECKING

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
from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from adjoint import inverse, replay, schedules, verification
    from adjoint.driver.options import RunOptions
    from adjoint.driver.second_order import SecondOrder
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
    "SecondOrder",
    "SnapshotFileError",
    "Snapshots",
    "SolveError",
    "Stepper",
    "StepperError",
    "TransferError",
    "gradient",
    "inverse",
    "open_snapshots",
    "replay",
    "schedules",
    "verification",
]

__version__ = "0.1.0"


def _occupy_standard_streams() -> None:
    """Open the null device in place of a standard stream that is closed.

    Otherwise the next file opened would be that stream, and messages would be written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


_occupy_standard_streams()


_load, _ = lazy_exports(
    __name__,
    {
        "Capabilities": "steppers",
        "FunctionStepper": "steppers",
        "Functional": "functional",
        "Report": "reporting.report",
        "Result": "functional",
        "RunOptions": "driver.options",
        "SecondOrder": "driver.second_order",
        "Snapshots": "storage.reader",
        "Stepper": "steppers",
        "gradient": "functional",
        "inverse": "inverse",
        "open_snapshots": "storage.reader",
        "replay": "simulation.replay",
        "schedules": "schedules",
        "verification": "verification",
    },
)


def __getattr__(name: str) -> object:
    value = _load(name)
    if name not in {"inverse", "replay", "schedules", "verification"}:
        # All that a run needs is loaded now, and not when ranks are inside a collective call: where
        # one of them could not load it, the others would wait.
        importlib.import_module("adjoint.functional")
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
