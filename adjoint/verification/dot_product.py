"""The derivatives of single steps, costs and the initial state against their transposes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from adjoint.driver.costs import warn_of_forgotten_comm
from adjoint.errors import ArgumentError, StepperError
from adjoint.parallel import communicator
from adjoint.steppers import Arrays, Stepper
from adjoint.verification.directions import Directions
from adjoint.verification.runs import Fields, InnerProduct, Runs, Segment, require_steps
from adjoint.verification.verdicts import Comparison, Comparisons

__all__ = ["DotProductResult", "compare_steps", "dot_product_test"]


@dataclass(frozen=True, slots=True)
class DotProductResult(Comparisons):
    """Products ``<w, F' d>``, forward by differences, backward by the adjoint. Print it."""

    untested: tuple[str, ...] = ()
    """What could not be tested, and why."""
    start_doubt: str = ""
    """Why a derivative with respect to the initial state that differs may be right, if it may."""

    @property
    def first_wrong_step(self) -> int | None:
        """Where the first leaf with a wrong derivative begins; None if there is none."""
        wrong = [c.step for c in self.comparisons if c.verdict == "wrong" and c.step is not None]
        return min(wrong, default=None)

    def __str__(self) -> str:
        lines = [f"transposed derivatives: {self.verdict}", self.table]
        return "\n".join([*lines, *(f"not tested: {text}" for text in self.untested)])


def dot_product_test(
    stepper: Stepper,
    num_steps: int,
    *,
    comm: Any = None,
    scale: Mapping[str, ArrayLike] | None = None,
    inner_product: InnerProduct | None = None,
    seed: int = 0,
) -> DotProductResult:
    """Compare each derivative with its transpose, step by step, at the present controls.

    ``<w, F'(x) d> = <F'(x)^T w, d>`` for random ``w`` and ``d``. ``F`` is in turn every step (every
    leaf, if the stepper has `leaf_steps`), its cost, the terminal cost and the initial state; ``d``
    is a direction of each control and of the state. The first leaf that is wrong is the last one
    tested.

    A state is moved as runs move it: by controls, and by the step before it. So ghost cells, land
    and other entries that are copies or constant need no care. Entries of the initial state that
    neither a control nor the first step changes are not tested; how many is printed. Nor is
    the first step called wrong if only changes of a fixed initial state show it.

    Collective on `comm`. Keeps four states and the tape of one leaf. Takes every step 14 times, and
    seven times for the state and for each control; more often where a step is not smooth. The
    controls are left unchanged.

    Parameters
    ----------
    stepper, num_steps
        The steps ``[0, num_steps)`` are tested. Where the run ends after them, it is tested too.
    comm
        The communicator of the stepper's ranks. Without it each rank tests its own part alone,
        and warns; a derivative that crosses ranks is then called wrong.
    scale
        By control and by array of the state, what its random numbers are multiplied by: a number or
        an array. ``w`` is divided by it. By default the largest magnitude in the array, or 1.
    inner_product
        ``inner_product(a, b)`` is this rank's part of the product in which the transposes are
        meant. Both are mappings with the same names, of controls or of state arrays. Default: the
        sum of all products, of complex ones ``Re(conj(a) b)``.
    seed
        Of the random numbers.
    """
    ranks = communicator(comm)
    if ranks.mpi is None:
        warn_of_forgotten_comm()
    try:
        with ranks.failing(), Runs(stepper, ranks, inner_product) as runs:
            num_steps = require_steps(num_steps, stepper)
            if runs.has.accepted_steps is not None:
                stepper.advance(0, num_steps)
                runs.accept_present_steps()
            return compare_steps(Directions(runs, scale, seed), num_steps)
    finally:
        ranks.free()


def compare_steps(directions: Directions, num_steps: int) -> DotProductResult:
    """Compare the terminal cost and the initial state, and leaves until the first wrong one."""
    runs, leaves = directions.runs, directions.runs.leaves(num_steps)
    last = Segment(*leaves[-1], runs.state_after(Segment(0, leaves[-1][0])))
    terminal, untested = _compare_terminal_cost(directions, last)
    first = Segment(*leaves[0], runs.state_after(Segment(0, 0)))
    direction = directions.of_initial_state(first)
    comparisons = _compare_initial_state(directions, first, direction)
    untested += _unmoved_entries(runs, direction)
    state, doubt = first.state, ""
    for start, stop in leaves:
        leaf = Segment(start, stop, state)
        found, end, after = _compare_leaf(directions, leaf, direction)
        if start == 0 and _is_wrong(found, "in state"):
            doubt = _doubt_at_the_start(directions, leaf, end, after)
            found = [c if "in control" in c.part else replace(c, doubt=doubt) for c in found]
        comparisons += found
        if _is_wrong(found):
            break
        state, direction = end, after
    untested += [doubt] if doubt else []
    return DotProductResult((*comparisons, *terminal), tuple(untested), doubt)


def _is_wrong(found: Sequence[Comparison], part: str = "") -> bool:
    return any(c.verdict == "wrong" and part in c.part for c in found)


def _doubt_at_the_start(directions: Directions, leaf: Segment, end: Arrays, after: Fields) -> str:
    """Say why the first leaf, which is wrong in its state, may be right, if it may.

    Entries of a fixed initial state may follow from others, and a right adjoint then is the
    transpose only for changes that respect this. Controls make such changes; and from the state
    after the leaf, whose direction the leaf has made, it can be taken again.
    """
    moved = directions.of_controlled_state()
    fixed = [name for name, array in moved.state.items() if not np.all(array)]
    ranks: list[list[str]] = directions.runs.comm.gather(fixed)
    fixed = list(dict.fromkeys(name for names in ranks for name in names))
    looks = [(replace(leaf, state=end), after), (leaf, moved)]
    found = [_compare_leaf(directions, *look)[0] for look in looks if fixed]
    if not fixed or any(_is_wrong(comparisons, "in state") for comparisons in found):
        return ""
    return (
        f"changes of the initial state that no control makes, in {', '.join(map(repr, fixed))}: "
        "only they show a difference, so some of these entries may follow from others"
    )


def _compare_terminal_cost(
    directions: Directions, last: Segment
) -> tuple[list[Comparison], list[str]]:
    """Compare it, or say why the stepper does not compute it there."""
    runs, end = directions.runs, last.stop
    state, moved = runs.state_after(last), directions.of_state_after(last, end)
    directions.weights(state, moved, last, end)  # sees also what the first step does not read
    turn = Segment(end, end, state, turns=True, after=last)
    try:
        gradient = runs.pulled_back(turn, {})
    except (ArgumentError, StepperError) as refusal:
        return [], [f"the terminal cost: {refusal}"]
    directions.see(gradient.state)
    found = runs.compare(turn, [("state", moved), *directions.of_controls(end)], [gradient])
    return [comparison.of(f"terminal cost in {name}") for name, (comparison,) in found], []


def _compare_initial_state(
    directions: Directions, first: Segment, direction: Fields
) -> list[Comparison]:
    runs = directions.runs
    weights = directions.weights(first.state or {}, direction, first, 0)
    segment = Segment(0, 0, weights=weights)
    gradients = [Fields(runs.pulled_back(segment, weights).controls, {}), Fields({}, {})]
    found = runs.compare(segment, directions.of_controls(0), gradients)
    return [comparison.of(f"initial state in {name}") for name, (comparison, _) in found]


def _compare_leaf(
    directions: Directions, leaf: Segment, direction: Fields
) -> tuple[list[Comparison], Arrays, Fields]:
    """Return comparisons, and the state after the leaf with its direction."""
    runs = directions.runs
    end, after = runs.state_after(leaf), directions.of_state_after(leaf, leaf.stop)
    weights = directions.weights(end, after, leaf, leaf.stop)
    both, cost = (runs.pulled_back(leaf, adjoint) for adjoint in (weights, {}))
    step = Fields(_difference(both.controls, cost.controls), _difference(both.state, cost.state))
    moved = [("state", direction), *directions.of_controls(leaf.start)]
    found = runs.compare(replace(leaf, weights=weights), moved, [step, cost], [both, cost])
    named = [
        comparison.of(f"{function} in {name}", leaf.start)
        for name, comparisons in found
        for function, comparison in zip(("step", "step cost"), comparisons, strict=True)
    ]
    return named, end, after


def _unmoved_entries(runs: Runs, direction: Fields) -> list[str]:
    """Say how much of the initial state is not tested: it may be ghost cells, or fixed data."""
    found: list[str] = []
    for name, towards in direction.state.items():
        counts = runs.comm.gather((int(np.sum(towards == 0)), towards.size))
        unmoved, size = np.sum(counts, axis=0)
        if unmoved:
            found.append(
                f"{unmoved} of {size} entries of {name!r} in the initial state, which neither a "
                "control nor the first step changes"
            )
    return found


def _difference(a: Arrays, b: Arrays) -> Arrays:
    return {name: a[name] - b[name] for name in a}
