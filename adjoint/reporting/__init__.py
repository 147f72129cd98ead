"""What a run is predicted to cost and what it did: reports, timelines, tables, progress.

Names are loaded when they are first used: `inspect_file` needs h5py, which the others do without.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adjoint.reporting.engine_table import probe_engines
    from adjoint.reporting.plan_table import PlanRequest, PlanTable
    from adjoint.reporting.report import Report
    from adjoint.reporting.snapshot_summary import inspect_file
    from adjoint.reporting.trace_file import Trace, read_trace
    from adjoint.simulation.timeline import Event, Timeline

__all__ = [
    "Event",
    "PlanRequest",
    "PlanTable",
    "Report",
    "Timeline",
    "Trace",
    "inspect_file",
    "probe_engines",
    "read_trace",
]

_MODULES = {
    "PlanTable": "reporting.plan_table",
    "Event": "simulation.timeline",
    "PlanRequest": "reporting.plan_table",
    "Report": "reporting.report",
    "Timeline": "simulation.timeline",
    "Trace": "reporting.trace_file",
    "inspect_file": "reporting.snapshot_summary",
    "probe_engines": "reporting.engine_table",
    "read_trace": "reporting.trace_file",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"adjoint.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
