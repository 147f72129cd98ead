"""Finding the first step that is not finite, after a forward sweep has failed.

A sweep learns of it late: where a range of steps returns its cost, where a state is written, or at
the end. So the steps since the last state in memory that is finite are taken again, one at a time.
"""

import math

from adjoint.errors import NonFiniteError
from adjoint.parallel import Communicator
from adjoint.steppers.capabilities import Capabilities
from adjoint.storage.checksums import first_non_finite
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.state import SweepState

__all__ = ["name_first_step"]

STEPS_PER_AGREEMENT = 64
"""Steps that ranks take before they ask each other whether one has found it."""


def name_first_step(
    error: NonFiniteError,
    state: SweepState,
    capabilities: Capabilities,
    buffers: Buffers,
    comm: Communicator,
) -> None:
    """Add to an error that all ranks raise the first step whose cost or result is not finite.

    Collective; the live state is lost. Nothing is added where the stepper knows the step itself, or
    takes whole leaves only. No more steps are taken again than lie between two states in slots.
    """
    if state.adjoint_at is not None or not comm.has_agreed(error):
        return
    is_known = capabilities.first_non_finite is not None
    if any(comm.gather(is_known or capabilities.leaf_steps is not None)):
        return
    start = _go_to_last_finite(state, capabilities, buffers, comm)
    found = None
    for step in range(start, state.frontier):
        cost = buffers.advance(step, step + 1, 0.0)
        is_finite = math.isfinite(cost or 0.0)
        if found is None and not (
            is_finite and first_non_finite(capabilities.stepper.state) is None
        ):
            found = step
        if step % STEPS_PER_AGREEMENT == 0 or step == state.frontier - 1:
            everywhere = [each for each in comm.gather(found) if each is not None]
            if everywhere:
                error.args = (f"{error}; the first step that is not finite is {min(everywhere)}",)
                return


def _go_to_last_finite(
    state: SweepState, capabilities: Capabilities, buffers: Buffers, comm: Communicator
) -> int:
    """Make the last state live before which all was finite on all ranks; return its step."""
    before = math.inf if state.failed_from is None else state.failed_from
    finite = {
        step
        for step, block in buffers.slots.items()
        if step <= before and first_non_finite(block.arrays) is None
    }
    start = max(set[int].intersection(*comm.gather(finite)), default=None)
    if start is not None:
        buffers.restore(start)
        buffers.discard(start)  # to have a block to go on in: tapes may hold the others
        return start
    buffers.clear()
    capabilities.stepper.start()
    return 0
