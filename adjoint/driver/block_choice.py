"""How many directions of second-order products share one evaluation: priced, never assumed.

Blocks of one direction and of a few are planned, which measures their steps; other sizes lie on a
line (`adjoint.planning.blocks`). Where the bits of a product depend on the block, nothing that is
measured may decide: nominal costs do.
"""

from collections.abc import Callable
from dataclasses import dataclass

from adjoint.driver.budgets import memory_bytes, required_bytes
from adjoint.driver.run import Run, RunPlan
from adjoint.parallel import smallest
from adjoint.planning.blocks import BlockCase, best_block, block_sizes
from adjoint.planning.budget import leaf_sizes
from adjoint.schedules.costs import Costs

__all__ = ["Trial", "choose_block"]

MEASURED_BLOCK = 4
"""The second block size whose steps are measured, if there are as many directions and memory: the
cost of one direction more is then a third of a difference, which noise hides less than in a block
of two, and a larger one takes longer to measure."""

NOMINAL_SHARE = 0.25
"""Time that a step takes for one direction more, over the step itself, in nominal costs: one call
for all directions spares what a call takes."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A block size that could be taken."""

    run: Run
    besides_bytes: int
    """Memory of its stepper beside states and tapes, on this rank."""
    planned: Callable[[], RunPlan]
    """Measures steps, the first time, and plans an evaluation."""


def choose_block(gradients: Run, count: int, trial: Callable[[int], Trial]) -> int:
    """Return the size of the blocks for `count` directions. Collective.

    Parameters
    ----------
    gradients
        The run without directions.
    count
        The number of directions.
    trial
        Prepares a block size; what was prepared before is void then.
    """
    has = gradients.capabilities
    if count == 1:
        return 1
    single = trial(1)
    found = _block_of_file(single.run, count)
    if found is not None:
        return found
    if gradients.options.schedule is not None:
        return _largest(gradients, count, trial)
    comm = gradients.comm
    memory = smallest(memory_bytes(gradients), comm)
    small = _case(1, single, is_measured=not has.vectorised)
    state = max(comm.gather(gradients.layout.memory_bytes))
    other = min(count, MEASURED_BLOCK)
    line = BlockCase(0, small.costs, state, 0, small.tape_bytes)
    while other > 1 and not line.towards(small, other).fits(memory):
        other -= 1
    if other == 1:
        return 1
    return best_block(
        count,
        gradients.planned_steps,
        memory,
        small,
        _case(other, trial(other), is_measured=not has.vectorised),
    )


def _block_of_file(run: Run, count: int) -> int | None:
    """Return the block size of the run to be resumed; None without one of a possible size."""
    if run.file is None or not run.options.resume:
        return None
    found = run.file.layout_found()
    shapes = {} if found is None else {field.name: field.shape for field in found.fields}
    blocks = {
        shapes[field.name][0]
        for field in run.layout.fields
        if field.name.endswith("'") and field.name in shapes
    }
    return next((block for block in blocks if block <= count), None)


def _largest(gradients: Run, count: int, trial: Callable[[int], Trial]) -> int:
    """Return the largest block with which a given schedule fits into the memory."""
    memory, schedule = gradients.options.memory_bytes, gradients.options.schedule
    assert schedule is not None
    for block in reversed(block_sizes(count)):
        if memory is None:
            return block
        found = trial(block)
        besides = max(gradients.comm.gather(found.besides_bytes))
        if required_bytes(found.run, schedule) + besides <= memory:
            return block
    return 1


def _case(block: int, trial: Trial, *, is_measured: bool) -> BlockCase:
    """Return what a block size takes, on the rank where it is most."""
    run, comm = trial.run, trial.run.comm
    costs = trial.planned().costs if is_measured else None
    if costs is None:
        costs = Costs(advance=1 + NOMINAL_SHARE * block, pull_back=2 * (1 + NOMINAL_SHARE * block))
    sizes = leaf_sizes(run.planned_steps, run.capabilities.leaf_steps)
    tapes = [run.memory.tape_bytes(leaf) for leaf in sizes]
    largest = [max(ranks) for ranks in zip(*comm.gather(tapes), strict=True)]
    return BlockCase(
        block,
        costs,
        max(comm.gather(run.layout.memory_bytes)),
        max(comm.gather(trial.besides_bytes)),
        dict(zip(sizes, largest, strict=True)),
    )
