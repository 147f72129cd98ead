"""First evaluations: a fresh process each, planning included."""

import time
from pathlib import Path
from typing import Any

import numpy as np

import adjoint
from plan_campaign.child import Task
from plan_campaign.configurations import Configuration
from plan_campaign.ways import Rival, Room, options, schedule_of


def first(
    configuration: Configuration, folder: Path, task: Task, comm: Any = None
) -> dict[str, float]:
    """Return the seconds of one gradient by a schedule, or as it is planned."""
    model = configuration.model
    rival = Rival("", schedule_of(task.schedule)) if task.schedule else None
    leaf = rival.schedule.leaf_steps if rival and model.leaf_sensitive else None
    stepper = model.make(configuration.state_bytes, configuration.num_steps, comm, leaf)
    how = options(configuration, rival, Room.of(configuration, stepper), folder, comm)
    if comm is not None:
        comm.Barrier()
    began = time.perf_counter()
    report = adjoint.gradient(stepper, configuration.num_steps, **how).report
    seconds = time.perf_counter() - began
    found = {"seconds": seconds, "planning": report.probe_seconds, "run": report.seconds}
    if comm is None:
        return found
    return {name: max(comm.allgather(value)) for name, value in found.items()}


def touch(num_bytes: int) -> None:
    """Write to as much fresh memory: its pages are then known to a virtual machine's host."""
    np.ones(num_bytes, np.uint8)
