"""The gradient of one run: `gradient`, and what it returns."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from adjoint.functional import Functional
from adjoint.reporting.report import Report
from adjoint.reporting.timeline import Timeline
from adjoint.schedules import Schedule
from adjoint.steppers import Stepper

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Result", "gradient"]


@dataclass(frozen=True, slots=True)
class Result:
    """A cost, its gradient, and what they took."""

    cost: float
    """The cost, summed over ranks."""
    gradient: dict[str, NDArray[Any]]
    """By control: fresh arrays shaped as the controls."""
    report: Report
    timeline: Timeline | None = None
    """What happened when, on this rank, if `trace` was given."""


def gradient(
    stepper: Stepper,
    num_steps: int | None,
    *,
    comm: Any = None,
    memory: int | str | None = None,
    file: str | os.PathLike[str] | None = None,
    disk: int | str | None = None,
    schedule: Schedule | None = None,
    engine: "str | EngineFactory | None" = None,
    file_per_node: bool = False,
    resume: bool = False,
    max_lost_share: float = 0.05,
    progress: bool = False,
    trace: str | os.PathLike[str] | None = None,
) -> Result:
    """Return the cost of a stepper's run and its gradient at the stepper's present controls.

    The gradient is exact: the derivative of the steps as they are computed, and for a
    reproducible stepper the same bits whatever the memory, the file and the schedule. Arguments,
    errors and what is collective are those of `Functional`, which is for calling it repeatedly.
    """
    with Functional(
        stepper,
        num_steps,
        comm=comm,
        memory=memory,
        file=file,
        disk=disk,
        schedule=schedule,
        engine=engine,
        file_per_node=file_per_node,
        resume=resume,
        max_lost_share=max_lost_share,
        progress=progress,
        trace=trace,
    ) as functional:
        cost, gradients = functional.value_and_gradient()
        assert functional.report is not None
        return Result(cost, gradients, functional.report, functional.timeline)
