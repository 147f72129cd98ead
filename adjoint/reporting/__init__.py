"""What a run is predicted to cost and what it did: reports, timelines, tables, progress.

Names are loaded when they are first used: `inspect_file` needs h5py, which the others do without.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Event": ".simulation.timeline",
        "PlanRequest": "plan_table",
        "PlanTable": "plan_table",
        "Report": "report",
        "Timeline": ".simulation.timeline",
        "Trace": "trace_file",
        "inspect_file": "snapshot_summary",
        "probe_engines": "engine_table",
        "read_trace": "trace_file",
    },
)
