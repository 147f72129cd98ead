"""A run to be evaluated, and the plan for its next evaluation."""

import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from adjoint.driver import constants
from adjoint.driver.fingerprints import Fingerprints
from adjoint.driver.leaf_search import LeafSearch
from adjoint.driver.memory import Memory
from adjoint.driver.options import Options
from adjoint.driver.run_file import RunFile
from adjoint.parallel import Communicator
from adjoint.schedules import Schedule
from adjoint.schedules.costs import Costs
from adjoint.steppers import Capabilities, Stepper
from adjoint.storage.state_layout import StateLayout

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Run", "RunPlan"]


@dataclass(slots=True)
class Grid:
    """The leaf of a stepper whose rounding depends on it: chosen once, and then kept."""

    leaf_steps: int | None = None
    """None before it is chosen."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is evaluated, by which ranks, within which options."""

    capabilities: Capabilities
    num_steps: int | None
    """None if only the stepper knows where the run ends."""
    options: Options
    comm: Communicator
    layout: StateLayout
    """Of this rank's state."""
    file: RunFile | None
    """None if all states stay in memory."""
    fingerprints: Fingerprints
    """Hashes of what the stepper holds."""
    memory: Memory
    """Of slots and tapes. Nothing is allocated before it is used."""
    grid: Grid = field(default_factory=Grid)

    @classmethod
    def of(
        cls, stepper: Stepper, num_steps: int | None, options: Options, comm: Communicator
    ) -> "Run":
        """Return the run of a stepper. Nothing is measured, created or opened."""
        capabilities = Capabilities.of(stepper)
        num_steps = None if num_steps is None else operator.index(num_steps)
        layout = StateLayout.of(stepper.state)
        file = None
        if options.file is not None:
            file = RunFile(capabilities, num_steps, options, comm, layout)
        fingerprints = Fingerprints(capabilities)
        memory = Memory(capabilities, layout)
        return cls(capabilities, num_steps, options, comm, layout, file, fingerprints, memory)

    @property
    def stepper(self) -> Stepper:
        """What is stepped."""
        return self.capabilities.stepper

    @property
    def planned_steps(self) -> int:
        """Number of steps to plan for."""
        return constants.ASSUMED_STEPS if self.num_steps is None else self.num_steps

    @property
    def unchecked(self) -> str:
        """Why steps that are taken again are not compared; empty if they are."""
        if not self.capabilities.reproducible:
            return "the stepper is not reproducible"
        if self.capabilities.writes_ghosts:
            return "the stepper writes to the ghost cells of a state"
        return "" if self.options.check_replays else "check_replays is False"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How the next evaluation is played: the same on every rank."""

    schedule: Schedule
    reason: str
    """Why the planner chose the schedule; empty if the caller did."""
    costs: Costs | None
    """What the schedule was planned on, or what was measured since; None if nothing was."""
    predicted_seconds: float
    """Time of both sweeps by `costs`; nan if these, or the number of steps, are not known."""
    rows: int | None = None
    """Rows of the file to be opened; None if there is none."""
    engine: "str | EngineFactory | None" = None
    """What moves states to the file; None for the default."""
    engine_reason: str = ""
    """Why the planner chose the engine; empty if it did not."""
    resumes: bool = False
    """Whether the file is that of an earlier run, which the first evaluation continues if it has
    the same controls."""
    evaluation: int = 1
    """The number of the evaluation, from 1."""
    leaves: LeafSearch | None = None
    """The leaf sizes that evaluations have tried; None where it must stay what it is."""
    probe_seconds: float = 0.0
    """Time that measuring and planning took."""

    def noted(self) -> Mapping[str, Any]:
        """Return what the journal keeps, so that a resumed run need not measure again."""
        return {
            "leaf_steps": self.schedule.leaf_steps,
            "costs": None if self.costs is None else asdict(self.costs),
            "engine": self.engine if isinstance(self.engine, str) else "",
        }
