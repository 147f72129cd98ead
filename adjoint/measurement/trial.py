"""A short gradient for trial: what leaves of one size cost where a sweep finds its states.

Timed over and over in the same memory, an advance has its state in the cache, and a step that is
stored no other blocks to go on in. So what is timed is a sweep: Revolve over a few leaves, in as
many slots as there will be, up to twice as many leaves as slots. Its end is none of the run's: the
adjoint is zero there, and the stepper's own `turn` and `finish` are not called.
"""

import dataclasses
import statistics
import time
from typing import Any, cast

from adjoint.measurement.calibration import Calibration, agreed_costs
from adjoint.parallel import Communicator, largest
from adjoint.schedules import Revolve, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.revolve import minimal_advances
from adjoint.steppers.protocol import Stepper
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.sweep import Sweep

__all__ = ["trial_costs", "trial_leaves"]

MOST_TRIALS = 9

LEAVES_A_SLOT = 2
"""With so many times as many leaves as slots, states are computed again, as in a long run."""


def trial_leaves(rough: Costs, leaf_steps: int, num_slots: int, seconds: float) -> int:
    """Return how many leaves can be tried in so many seconds, by what they roughly cost.

    At least two; and no more than it takes to see what so many slots are like.
    """
    reversing = rough.recording(leaf_steps, reach_stop=False) + leaf_steps * rough.pull_back
    per_leaf = 2 * leaf_steps * rough.advance + reversing
    in_time = int(seconds / max(per_leaf, 1e-9))
    return max(2, min(in_time, LEAVES_A_SLOT * num_slots + 1))


def trial_costs(
    stepper: Stepper,
    buffers: Buffers,
    schedule: Revolve,
    rough: Costs,
    comm: Communicator,
    enough_seconds: float,
) -> Costs:
    """Return what the steps of a schedule cost, as `Calibration` tells it. Collective.

    The medians of a few trials, on the rank where each is largest: they go on for about
    `enough_seconds`, and there is one at least. What `rough` says is kept where a trial has nothing
    to say: of transfers, and of a last step that is not reached. The buffers are left empty, the
    stepper anywhere in its run.

    Raises
    ------
    NonFiniteError
        A cost or a state became that, as it would in the run.
    """
    assert schedule.num_steps is not None
    endless = cast(Stepper, _Endless(stepper))
    found: list[Costs] = []
    seconds = 0.0
    while not found or (seconds < enough_seconds and len(found) < MOST_TRIALS):
        buffers.clear()
        stepper.start()
        began = time.perf_counter()
        calibration = Calibration(Statistics)
        sweep = Sweep(endless, schedule.num_steps, buffers, None, comm, observer=calibration)
        sweep.run(schedule)
        found.append(calibration.costs(rough))
        seconds += largest(time.perf_counter() - began, comm)
    buffers.clear()
    return _with_setting_out_apart(agreed_costs(_medians(found), comm), rough.advance, schedule)


def _with_setting_out_apart(mean: Costs, at_best: float, schedule: Revolve) -> Costs:
    """Return what setting out takes, of what advances do, apart.

    In a long run more steps are taken where their state is, as in one long advance.
    """
    if mean.advance <= at_best:
        return mean
    assert schedule.num_steps is not None
    leaf = schedule.leaf_steps
    leaves = num_leaves(schedule.num_steps, leaf)
    steps = leaf * minimal_advances(leaves, schedule.num_slots)
    restart_overhead = steps * (mean.advance - at_best) / leaves
    return dataclasses.replace(mean, advance=at_best, restart_overhead=restart_overhead)


class _Endless:
    """A stepper whose run may be turned at any step: everything else is the stepper's own."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stepper, name)

    def turn(self, cost: float) -> float:
        for array in self._stepper.adjoint.values():
            array[...] = 0
        return cost

    def finish(self) -> None:
        pass


def _medians(found: list[Costs]) -> Costs:
    names = [field.name for field in dataclasses.fields(Costs)]
    return dataclasses.replace(
        found[0],
        **{name: statistics.median(getattr(costs, name) for costs in found) for name in names},
    )
