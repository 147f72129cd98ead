"""Tests of a gradient that anyone can run on a stepper of their own.

`taylor_test`
    The remainder ``|J(m + h d) - J(m) - h <grad J, d>|`` must decrease as ``h^2``. It tests
    stepper, schedule and file together, as the functional uses them.
`dot_product_test`
    ``<w, F'(m) d> = <F'(m)^T w, d>`` for a random direction ``d`` of the controls and a random
    adjoint ``w`` at the end. It tests the stepper alone, without its terminal cost. The tangent is
    a central difference, extrapolated (Ridders 1982, doi:10.1016/S0141-1195(82)80057-0).
`bitwise_test`
    The gradient under the functional's schedule has the same bits as with the start of every leaf
    kept in memory.
`replay_test`
    Steps taken again give the same bits, however they are grouped: checkpointing relies on it.
    The first step that differs is named.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.functional import Functional
from adjoint.parallel import Communicator, communicator
from adjoint.schedules import StoreAll
from adjoint.steppers import Arrays, Capabilities, Stepper, copy_arrays
from adjoint.storage.checksums import checksum

__all__ = [
    "BitwiseResult",
    "DotProductResult",
    "ReplayResult",
    "TaylorResult",
    "bitwise_test",
    "dot_product_test",
    "replay_test",
    "taylor_test",
]

Direction = Mapping[str, NDArray[Any]]

FIRST_STEPS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Largest steps ``h`` to try in a Taylor test, relative to the controls: the remainder is of second
order between where higher orders and where round-off dominate, which depends on the problem."""

HALVINGS = 3
"""Halvings of the step in a Taylor test: three orders in a row are hardly a coincidence."""

MIN_ORDER = 1.95
"""Order of the Taylor remainder from which a gradient passes; 2 in theory, 1 if it is wrong."""

MAX_ROUND_OFF = 1e-12
"""Taylor remainder over the cost that passes as round-off: there is no order if the cost is linear
in the controls."""

RIDDERS_SHRINKING = 1.4
RIDDERS_COLUMNS = 10
"""Factor between two steps of the tableau and its size, as Ridders and Numerical Recipes (Press et
al. 2007, section 5.7) have them."""

MIN_TANGENT_ACCURACY = 1e-4
"""Relative error of the extrapolated tangent above which a dot-product test says nothing."""

MAX_DOT_PRODUCT_ERROR = 1e-9
"""Relative difference of the two products that always passes, whatever the error of the tangent."""


@dataclass(frozen=True, slots=True)
class TaylorResult:
    """Remainders of the first-order Taylor expansion along one direction."""

    steps: tuple[float, ...]
    remainders: tuple[float, ...]
    cost: float

    @property
    def orders(self) -> tuple[float, ...]:
        """Observed order of the remainder at each halving: 2 for a correct gradient, else 1."""
        pairs = zip(self.remainders, self.remainders[1:], strict=False)
        return tuple(
            math.log2(big / small) if big > 0 < small else math.inf for big, small in pairs
        )

    @property
    def order(self) -> float:
        """The smallest of `orders`."""
        return min(self.orders)

    @property
    def relative_remainder(self) -> float:
        """The largest remainder over the cost: round-off alone where the cost is linear."""
        return max(self.remainders) / max(abs(self.cost), 1e-300)

    @property
    def passed(self) -> bool:
        """Whether the order is at least 1.95, or the remainder is round-off."""
        return self.order >= MIN_ORDER or self.relative_remainder < MAX_ROUND_OFF


@dataclass(frozen=True, slots=True)
class DotProductResult:
    """One inner product computed in two ways: forward with a tangent, backward with the adjoint."""

    forward: float
    backward: float
    tangent_error: float
    """The estimated relative error of `forward`."""

    @property
    def relative_error(self) -> float:
        """The difference of the two over the larger one."""
        scale = max(abs(self.forward), abs(self.backward), 1e-300)
        return abs(self.forward - self.backward) / scale

    @property
    def passed(self) -> bool:
        """Whether the two agree as closely as the tangent is exact."""
        allowed = max(MAX_DOT_PRODUCT_ERROR, 10 * self.tangent_error)
        return self.relative_error <= allowed and self.tangent_error < MIN_TANGENT_ACCURACY


@dataclass(frozen=True, slots=True)
class BitwiseResult:
    """What differs from keeping everything, on any rank."""

    differing: tuple[str, ...]
    """"cost", or the names of controls whose gradient has other bits."""

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differing


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The first step whose state had other bits when it was computed again, on any rank."""

    first_difference: int | None

    @property
    def passed(self) -> bool:
        """Whether no step differed."""
        return self.first_difference is None


def taylor_test(
    functional: Functional,
    direction: Direction | None = None,
    *,
    step: float | None = None,
    seed: int = 0,
) -> TaylorResult:
    """Return the Taylor remainders of a functional at its present controls, over three halvings.

    Collective. `direction` has arrays shaped as some of the controls; by default it is random in
    all of them. Without `step` several first steps are tried, and the result with the best order is
    returned: a wrong gradient is of order one at every step. Evaluates the gradient once, and the
    cost four times for each step tried. The controls are left unchanged.
    """
    stepper, comm = functional.stepper, functional.comm
    has = Capabilities.of(stepper)
    direction = _random_direction(has, comm, seed) if direction is None else direction
    base = {name: np.array(stepper.controls[name]) for name in direction}
    cost, gradient = functional.value_and_gradient()
    slope = _inner(gradient, direction, has, comm)

    def remainder(h: float) -> float:
        moved = {name: base[name] + h * direction[name] for name in direction}
        return abs(functional.value(moved) - cost - h * slope)

    results: list[TaylorResult] = []
    try:
        for first in (step,) if step is not None else FIRST_STEPS:
            steps = tuple(first / 2**k for k in range(HALVINGS + 1))
            results.append(TaylorResult(steps, tuple(map(remainder, steps)), cost))
            if results[-1].passed:
                break
    finally:
        copy_arrays(base, {name: stepper.controls[name] for name in base})
    return max(results, key=lambda result: (result.passed, result.order))


def dot_product_test(
    stepper: Stepper,
    num_steps: int,
    *,
    comm: Any = None,
    weights: Arrays | None = None,
    step: float = 1e-2,
    seed: int = 0,
) -> DotProductResult:
    """Compare tangent and adjoint over `num_steps` steps at the present controls.

    Collective on `comm`. `weights`, shaped as the adjoint, is ``w``, by default random; give your
    own where parts of the state (ghost cells) are not free. Keeps a tape of all steps. `step` is
    the first finite difference, relative to the controls, which are left unchanged.
    """
    ranks = communicator(comm)
    has = Capabilities.of(stepper)
    try:
        generator = np.random.default_rng([seed, ranks.rank])
        if weights is None:
            weights = {k: generator.standard_normal(v.shape) for k, v in stepper.adjoint.items()}
        direction = _random_direction(has, ranks, seed)
        base = {name: np.array(array) for name, array in stepper.controls.items()}
        gradient = _pull_back_all(has, num_steps, weights, ranks)
        backward = _inner(gradient, direction, has, ranks)

        def weighted(h: float) -> float:
            for name, array in stepper.controls.items():
                array[...] = base[name] + h * direction[name]
            stepper.start()
            cost = stepper.advance(0, num_steps, cost=0.0)
            assert cost is not None
            return math.fsum(ranks.gather(cost + _dot(weights, stepper.state)))

        try:
            forward, error = _extrapolated_difference(weighted, step)
        finally:
            copy_arrays(base, stepper.controls)
    finally:
        ranks.free()
    return DotProductResult(forward, backward, error / max(abs(forward), 1e-300))


def bitwise_test(functional: Functional) -> BitwiseResult:
    """Compare a functional's cost and gradient with those of `StoreAll` with the same leaves.

    Collective. `StoreAll` keeps a state per leaf in memory: use a run short enough for that.
    """
    cost, gradient = functional.value_and_gradient()
    assert functional.report is not None
    assert functional.schedule is not None
    num_steps, leaf_steps = functional.report.num_steps, functional.schedule.leaf_steps
    kept = StoreAll(num_steps, leaf_steps=leaf_steps)
    comm = functional.comm
    with Functional(functional.stepper, num_steps, comm=comm.mpi, schedule=kept) as reference:
        expected_cost, expected = reference.value_and_gradient()
    differing = [] if cost == expected_cost else ["cost"]
    differing += [k for k in expected if not _same_bits(gradient[k], expected[k])]
    ranks: list[list[str]] = comm.gather(differing)
    return BitwiseResult(tuple(dict.fromkeys(name for names in ranks for name in names)))


def replay_test(
    stepper: Stepper, num_steps: int, *, comm: Any = None, seed: int = 0
) -> ReplayResult:
    """Take the steps twice, grouped differently the second time, half of them from a copy.

    Collective on `comm`. Keeps one checksum per leaf, and one state.
    """
    ranks = communicator(comm)
    has = Capabilities.of(stepper)
    try:
        leaf = has.leaf_steps or 1
        ends = [*range(leaf, num_steps, leaf), num_steps]
        stepper.start()
        first = _hashes(stepper, 0, ends)
        generator = np.random.default_rng(seed)
        kept = [end for end in ends[:-1] if generator.random() < 0.5]
        middle = kept[len(kept) // 2] if kept else 0
        stepper.start()
        second = _hashes(stepper, 0, [end for end in kept if end <= middle])
        copy = {name: array.copy() for name, array in stepper.state.items()}
        stepper.advance(middle, num_steps)
        copy_arrays(copy, stepper.state)
        if has.restorable is not None:
            has.restorable.restored(middle)
        second |= _hashes(stepper, middle, [*(end for end in kept if end > middle), num_steps])
        differing = [step for step, bits in second.items() if bits != first[step]]
        found = [step for steps in ranks.gather(differing) for step in steps]
        return ReplayResult(min(found, default=None))
    finally:
        ranks.free()


def _random_direction(has: Capabilities, comm: Communicator, seed: int) -> dict[str, NDArray[Any]]:
    """Return a random direction as large as the controls; equal on all ranks where these are."""
    distributed = has.distributed
    direction: dict[str, NDArray[Any]] = {}
    for index, (name, control) in enumerate(has.stepper.controls.items()):
        rank = comm.rank if name in distributed else 0
        generator = np.random.default_rng([seed, index, rank])
        scale = float(np.max(np.abs(control))) if control.size else 0.0
        if name in distributed:
            scale = max(comm.gather(scale))
        noise = generator.standard_normal(control.shape) * (scale or 1.0)
        direction[name] = noise.astype(control.dtype)
    return direction


def _inner(a: Direction, b: Direction, has: Capabilities, comm: Communicator) -> float:
    """Return the inner product over the names of `b`: replicated controls count once."""
    distributed = has.distributed
    shared = math.fsum(_dot_one(a[name], b[name]) for name in b if name not in distributed)
    own = math.fsum(_dot_one(a[name], b[name]) for name in b if name in distributed)
    return shared + math.fsum(comm.gather(own))


def _dot(a: Direction, b: Arrays) -> float:
    return math.fsum(_dot_one(a[name], b[name]) for name in a)


def _dot_one(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.vdot(np.asarray(a, dtype=float), np.asarray(b, dtype=float)))


def _pull_back_all(
    has: Capabilities, num_steps: int, weights: Arrays, comm: Communicator
) -> Direction:
    """Return the gradient of the costs of all steps plus ``<weights, u_n>``."""
    stepper, leaf = has.stepper, has.leaf_steps or num_steps
    leaves = [(i, min(i + leaf, num_steps)) for i in range(0, num_steps, leaf)]
    stepper.start()
    for start, stop in leaves:
        stepper.record(start, stop, reach_stop=True)
    copy_arrays(weights, stepper.adjoint)
    for start, stop in reversed(leaves):
        stepper.pull_back(start, stop)
    stepper.finish()
    gradient = {name: np.array(array) for name, array in stepper.accumulators.items()}
    for name, array in gradient.items():
        if name not in has.distributed:
            comm.sum(array)
    return gradient


def _extrapolated_difference(
    function: Callable[[float], float], step: float
) -> tuple[float, float]:
    """Return the derivative at zero and its error: Ridders' tableau of central differences."""
    best, error = math.nan, math.inf
    previous: list[float] = []
    for column in range(RIDDERS_COLUMNS):
        h = step / RIDDERS_SHRINKING**column
        row = [(function(h) - function(-h)) / (2 * h)]
        for order, left in enumerate(previous, start=1):
            factor = RIDDERS_SHRINKING ** (2 * order)
            row.append((factor * row[-1] - left) / (factor - 1))
            distance = max(abs(row[-1] - row[-2]), abs(row[-1] - left))
            if distance < error:
                best, error = row[-1], distance
        previous = row
    return best, error


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


def _hashes(stepper: Stepper, start: int, ends: Sequence[int]) -> dict[int, list[int]]:
    """Advance from `start` to each of `ends` in turn; return the checksums of the states there."""
    found: dict[int, list[int]] = {}
    for end in ends:
        stepper.advance(start, end)
        found[end] = [checksum(_raw(array)) for array in stepper.state.values()]
        start = end
    return found


def _raw(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(array.tobytes(), np.uint8)
