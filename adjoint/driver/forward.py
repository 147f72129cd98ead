"""The cost alone, by one forward run of which nothing is stored, and what it depends on."""

import hashlib

from adjoint.driver import constants
from adjoint.driver.controls import Controls, RowsOnDisk
from adjoint.driver.costs import sum_costs
from adjoint.driver.prepare import settle_leaf
from adjoint.driver.run import Run
from adjoint.errors import StepperError
from adjoint.steppers.hooks import real_number

__all__ = ["fingerprint", "forward_cost"]


def forward_cost(run: Run) -> float:
    """Return the cost of a run, summed over ranks. Collective.

    Raises
    ------
    ArgumentError, NonFiniteError, StepperError
        As `Controls` and `sum_costs` do; or the stepper does not take the steps that it is asked
        for.
    """
    settle_leaf(run)
    rows, stepper = RowsOnDisk.of(run), run.stepper
    with Controls(run).unchanged():
        stepper.start()
        cost = stepper.turn(_step_to_the_end(run, rows))
    if rows is not None:
        rows.require_same(run.comm)
    return sum_costs(real_number(cost, "turn()"), run, stepper.state)


def fingerprint(run: Run) -> str:
    """Return a digest of what a cost depends on besides the controls; see `Functional`. Collective.

    Steps may change scratch memory, which is then no data: so one is taken.
    """
    settle_leaf(run)
    with Controls(run).unchanged():
        run.stepper.start()
        with run.fingerprints.watching():
            run.stepper.advance(0, 1)
        run.stepper.start()
    held = run.comm.gather(run.fingerprints.take(""))
    known = repr((type(run.stepper).__qualname__, run.num_steps, held))
    return hashlib.blake2b(known.encode(), digest_size=16).hexdigest()


def _step_to_the_end(run: Run, rows: RowsOnDisk | None) -> float:
    """Step forward to the end; return this rank's cost, the terminal cost excepted."""
    stepper, has, end = run.stepper, run.capabilities, run.num_steps
    if end is not None:
        cost = _counted(stepper.advance(0, end, cost=0.0))
        reached = has.position
        if reached is not None and reached != end:
            raise StepperError(
                f"asked for {end} steps, the stepper came to step {reached}: "
                "num_steps=None takes as many as there are"
            )
        if rows is not None:
            rows.read_to(end)
        return cost
    cost, step = 0.0, 0
    while not step or not has.finished:
        cost = _counted(stepper.advance(step, step + constants.STEPS_PER_CALL, cost=cost))
        step = has.position or 0
        if rows is not None:
            rows.read_to(step)
    return cost


def _counted(cost: float | None) -> float:
    if cost is None:
        raise StepperError("advance() returned no cost: return the running total if one is given")
    return real_number(cost, "advance()")
