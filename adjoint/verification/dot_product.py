"""The derivatives of single steps, costs and the initial state against their transposes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from adjoint.driver.costs import warn_of_forgotten_comm
from adjoint.parallel import communicator
from adjoint.steppers import Arrays, Stepper
from adjoint.verification.differences import compare, measure_noise
from adjoint.verification.runs import Fields, InnerProduct, Runs, Segment, together
from adjoint.verification.verdicts import Comparison, Verdict, by_part, doubted, overall, table

__all__ = ["DotProductResult", "compare_steps", "dot_product_test"]


@dataclass(frozen=True, slots=True)
class DotProductResult:
    """Products ``<w, F' d>``, forward by differences, backward by the adjoint. Print it."""

    comparisons: tuple[Comparison, ...]
    """One for each function, each thing it depends on, and each leaf of steps."""
    untested: str = ""
    """Why the terminal cost was not tested: the stepper's run does not end after these steps."""

    @property
    def parts(self) -> tuple[Comparison, ...]:
        """Of each function and thing it depends on, the most telling leaf."""
        return by_part(self.comparisons)

    @property
    def verdict(self) -> Verdict:
        """The worst of all parts: "right", "wrong" or "cannot tell"."""
        return overall(self.parts)

    @property
    def passed(self) -> bool:
        """Whether the verdict is "right"."""
        return self.verdict == "right"

    @property
    def error_estimate(self) -> float:
        """The largest estimated error of a part, relative to its derivative."""
        return max(part.relative_error for part in self.parts)

    @property
    def first_wrong_step(self) -> int | None:
        """Where the first leaf with a wrong derivative begins; None if there is none."""
        wrong = [c.step for c in self.comparisons if c.verdict == "wrong" and c.step is not None]
        return min(wrong, default=None)

    def __str__(self) -> str:
        lines = [f"transposed derivatives: {self.verdict}", table(self.parts)]
        if self.untested:
            lines.append(f"the terminal cost was not tested: {self.untested}")
        return "\n".join(lines)


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
    is a direction of the state and of each control. The first leaf that is wrong is the last one
    tested.

    Collective on `comm`. Keeps two states and the tape of one leaf. Takes every step ten times, and
    seven times for the state and for each control; more often where a step is not smooth. The
    controls are left unchanged.

    Parameters
    ----------
    stepper, num_steps
        The steps ``[0, num_steps)`` are tested. Where the run ends after them, it is tested too.
    comm
        The communicator of the stepper's ranks. Without it each rank tests its own part alone, and
        is warned; a derivative that crosses ranks is then called wrong.
    scale
        By control and by array of the state, what its random numbers are multiplied by: a number or
        an array. ``w`` is divided by it. Zero where an entry is not free, as in ghost cells. By
        default the largest magnitude in the array, or 1.
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
        with Runs(stepper, ranks, scale, inner_product, seed) as runs:
            if runs.has.accepted_steps is not None:
                stepper.advance(0, num_steps)
                runs.accept_present_steps()
            return compare_steps(runs, num_steps)
    finally:
        ranks.free()


def compare_steps(runs: Runs, num_steps: int) -> DotProductResult:
    """Compare until the first wrong leaf, then the terminal cost and the initial state."""
    leaf = runs.has.leaf_steps or 1
    first = state = runs.initial_state()
    comparisons = _compare_initial_state(runs, first)
    is_wrong, last = False, None
    for start in range(0, num_steps, leaf):
        last = Segment(start, min(start + leaf, num_steps), state)
        end = runs.state_after(last)
        if not is_wrong:
            comparisons += (found := _compare_leaf(runs, last, end, first))
            is_wrong = any(c.verdict == "wrong" for c in found)
        state = end
    turn = Segment(num_steps, num_steps, state, turns=True, after=last)
    refusal = runs.refusal_to_turn(turn)
    if not refusal:
        comparisons += _compare_terminal_cost(runs, turn, first)
    return DotProductResult(tuple(comparisons), refusal)


def _compare_initial_state(runs: Runs, state: Arrays) -> list[Comparison]:
    weights = runs.weights(state)
    segment = Segment(0, 0, weights=weights)
    gradients = [Fields(runs.pulled_back(segment, weights).controls, {}), Fields({}, {})]
    found = _compare(runs, segment, (), gradients, gradients)
    return [comparison.of(f"initial state in {variable}") for variable, (comparison, _) in found]


def _compare_leaf(runs: Runs, leaf: Segment, end: Arrays, first: Arrays) -> list[Comparison]:
    weights = runs.weights(end, leaf.start)
    both, cost = (runs.pulled_back(leaf, adjoint) for adjoint in (weights, {}))
    step = Fields(_difference(both.controls, cost.controls), _difference(both.state, cost.state))
    segment = replace(leaf, weights=weights)
    found = _compare(runs, segment, (end, first), [step, cost], [both, cost])
    return [
        comparison.of(f"{function} in {variable}", leaf.start)
        for variable, comparisons in found
        for function, comparison in zip(("step", "step cost"), comparisons, strict=True)
    ]


def _compare_terminal_cost(runs: Runs, turn: Segment, first: Arrays) -> list[Comparison]:
    gradient = runs.pulled_back(turn, {})
    found = _compare(runs, turn, (first,), [gradient], [gradient])
    return [comparison.of(f"terminal cost in {variable}") for variable, (comparison,) in found]


def _compare(
    runs: Runs,
    segment: Segment,
    others: Sequence[Arrays],
    gradients: Sequence[Fields],
    computed: Sequence[Fields],
) -> list[tuple[str, list[Comparison]]]:
    """Compare a segment's functions along a direction of its state, if any, and of each control.

    `others` are other states of the run. `gradients` are those of the functions; `computed` is what
    these were computed from: it has the round-off.
    """
    state, key = segment.state, segment.start
    directions: dict[str, Fields] = {}
    between: list[Fields] = []
    if state is not None:
        between = runs.directions_between(state, others, 1, key)
        free = runs.state_direction(state, key)
        directions["state"] = between[0] if runs.has_bound_entries else free
    for name in runs.control_names:
        directions[f"control {name!r}"] = runs.control_direction(name, key)
    around = partial(runs.sample, segment, together(directions.values()), gradients)
    step, noise = measure_noise(around, runs.precision)

    def compared(direction: Fields) -> list[Comparison]:
        sample = partial(runs.sample, segment, direction, gradients)
        slopes = [runs.slope(gradient, direction) for gradient in gradients]
        num_steps = segment.stop - segment.start
        roundings = [runs.rounding(fields, direction, num_steps) for fields in computed]
        return compare(sample, slopes, roundings, step, noise, runs.precision)

    found = {name: compared(direction) for name, direction in directions.items()}
    if any(comparison.verdict == "wrong" for comparison in found.get("state", ())):
        found["state"] = list(map(doubted, found["state"], compared(between[0])))
    return list(found.items())


def _difference(a: Arrays, b: Arrays) -> Arrays:
    return {name: a[name] - b[name] for name in a}
