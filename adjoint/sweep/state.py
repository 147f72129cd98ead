"""How far a sweep has come, and what it reports in the end."""

import math
from dataclasses import dataclass

from adjoint.parallel import Communicator
from adjoint.schedules import Schedule

__all__ = ["UNDEFINED", "SweepResult", "SweepState"]

UNDEFINED = -1
"""The position of a live state that belongs to no step."""


@dataclass(slots=True)
class SweepState:
    """How far a sweep has come on this rank.

    The cost, `failed_from` and the error are this rank's; the rest is equal on all ranks.
    """

    num_steps: int | None
    """Where the run ends; None until that is known."""
    position: int = 0
    """The step that the live state is at, or `UNDEFINED`."""
    frontier: int = 0
    """The steps before it have been taken once, and their costs counted."""
    adjoint_at: int | None = None
    """The step that the adjoint is at; None in the forward sweep."""
    cost: float = 0.0
    """This rank's running total up to the frontier."""
    turned_at: float = math.nan
    """When the reverse sweep began, by `time.perf_counter`."""
    taken_steps: int = 0
    """Steps taken, with repetitions."""
    recorded_steps: int = 0
    """Those of them that `Record` actions have taken."""
    failed_from: int | None = None
    """Where the first steps began whose cost was not finite on this rank."""
    error: Exception | None = None
    """The first error of this rank, kept until all ranks raise it together."""

    def keep_error(self, error: Exception | None) -> None:
        """Keep an error, unless there is one already."""
        self.error = self.error or error

    def fail(self, error: Exception | None, comm: Communicator) -> None:
        """Keep an error, if any, until the ranks agree: at once if there is only one."""
        if error is not None:
            self.keep_error(error)
            if comm.size == 1:
                self.agree(comm)

    def agree(self, comm: Communicator) -> None:
        """Raise on every rank if one of them keeps an error. Collective."""
        error, self.error = self.error, None
        comm.agree(error)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What one sweep has done on this rank. The gradient is in the stepper's accumulators."""

    cost: float
    """This rank's cost."""
    num_steps: int
    """Steps of the run."""
    actions: int
    """Actions carried out."""
    advanced_steps: int
    """Steps taken by `Advance` actions, with repetitions."""
    recorded_steps: int
    """Steps taken by `Record` actions, with repetitions."""
    turned_at: float
    """When the reverse sweep began, by `time.perf_counter`; if it was resumed there, when it was
    resumed."""
    compared_states: int = 0
    """States that were compared with what was there before, see `adjoint.sweep.replay_check`."""
    lost_states: tuple[int, ...] = ()
    """States that the file has lost, in the order in which the ranks agreed on that."""
    lost_tapes: tuple[int, ...] = ()
    """First steps of the tapes that the file has lost, ascending."""
    cost_changes: int = 0
    """Number of times that the schedule was given new costs."""
    revised: Schedule | None = None
    """The schedule for the costs that it was given last; None if it was given none, or has no such
    variant."""
