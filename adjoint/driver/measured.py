"""What steps and transfers of a run cost here, measured before it is planned."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from adjoint.driver import constants
from adjoint.driver.run import Run
from adjoint.errors import TransferError
from adjoint.measurement.engines import choose_engine
from adjoint.measurement.probe import Probe, with_file
from adjoint.planning.budget import Budget
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.registry import candidate_names
from adjoint.sweep.buffers import Buffers

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: the same on every rank."""

    costs: dict[int, Costs]
    """By leaf size: what the others cost lies in between."""
    engine: "str | EngineFactory | None"
    """What moves states to the file: what the caller gave, or the best one."""
    engine_reason: str = ""
    """Why it is the best one; empty if no transfer was measured."""
    file_failure: str = ""
    """The error of the file, if no state can be stored in it; empty otherwise."""


def measure(run: Run, budget: Budget) -> Measured:
    """Run a few of the stepper's steps, and transfers if the budget has a file. Collective.

    The stepper is started afresh. Temporary files are removed.

    Raises
    ------
    NonFiniteError
        On every rank: a state is not finite.
    SnapshotFileError
        On every rank: there can be no file, or no engine can be used on it.
    """
    num_steps = constants.MAX_STEPS if run.num_steps is None else run.num_steps
    fitting = [leaf for leaf in constants.PROBED_LEAVES if leaf in budget.slots]
    sizes = [leaf for leaf in fitting if leaf * constants.MIN_LEAVES_TO_PROBE <= num_steps]
    slots = {min(leaf, num_steps): budget.slots[leaf] for leaf in sizes or [min(budget.slots)]}
    buffers = partial(_touched_buffers, run)
    probe = Probe(run.stepper, num_steps, slots, buffers, run.comm)
    costs = probe.stepper_costs()
    engine = run.options.engine
    if not budget.file_states or run.file is None:
        return Measured(costs, engine)
    candidates = [engine] if engine is not None else candidate_names(run.comm)
    survey = probe.engines(candidates, run.file.open_for_probe)
    try:
        choice = choose_engine(survey)
    except TransferError as failed:
        return Measured(costs, engine, file_failure=str(failed))
    return Measured(with_file(costs, choice.costs), choice.engine, choice.reason)


def _touched_buffers(run: Run, num_slots: int, leaf_steps: int) -> Buffers:
    """Return buffers whose memory has been touched, as after the beginning of a run."""
    buffers = run.memory.buffers(num_slots, leaf_steps)
    run.memory.touch(num_slots)
    return buffers
