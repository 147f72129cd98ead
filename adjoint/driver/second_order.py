"""Second-order products of a functional: one evaluation for each block of directions.

A block is an evaluation of a stepper around the functional's (`adjoint.steppers.second_order`),
which is planned, checkpointed and resumed as any other. Hessian and Gauss-Newton products with
blocks of each size have a plan of their own, made once and kept. They take turns with the gradient
in the memory that is allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.closing import Closing
from adjoint.driver.block_choice import Trial, choose_block
from adjoint.driver.budgets import memory_bytes
from adjoint.driver.costs import sum_costs
from adjoint.driver.evaluations import Evaluations
from adjoint.driver.gradients import sum_gradients
from adjoint.driver.prepare import settle_leaf
from adjoint.driver.run import Run, RunPlan
from adjoint.driver.second_order_checks import checked_directions, require_right, speak_of_tangents
from adjoint.errors import AdjointError, ArgumentError, StepperError
from adjoint.parallel import agree_on, require_same
from adjoint.reporting.report import Report
from adjoint.steppers.checks import check_stepper
from adjoint.steppers.second_order import SecondOrderStepper, second_order
from adjoint.sweep.observers import Observer

__all__ = ["Products", "SecondOrder"]


@dataclass(frozen=True, slots=True)
class SecondOrder:
    """Products with directions, and what was computed with them."""

    cost: float
    """The cost, summed over ranks: the bits of `Functional.value_and_gradient`."""
    gradient: dict[str, NDArray[Any]] | None
    """The gradient by control; None for Gauss-Newton products, which need none."""
    products: dict[str, NDArray[Any]]
    """By control, shaped as it with a leading axis that counts the directions; fresh arrays. Those
    of `distributed` controls are this rank's part."""
    block: int
    """How many directions shared one evaluation."""
    report: Report
    """What the evaluation of the last block took, on this rank."""
    step_errors: Mapping[str, float]
    """Largest relative error of each identity that second derivatives have, summed over ranks: of
    the order of round-off. The first products of a sort evaluate them at a few steps."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What has one plan: products of one sort in blocks of one size."""

    gauss_newton: bool
    block: int


class Products(Closing):
    """Evaluates second-order products of a functional. Every method is collective.

    `close` gives back memory and file until the next evaluation.

    Parameters
    ----------
    gradients
        The functional's gradients: what their file takes of the disk is not for products.
    expected
        The number of evaluations over which the first touch of memory is spread.
    """

    def __init__(self, gradients: Evaluations, expected: int) -> None:
        self._gradients = gradients
        self._run, self._comm = gradients.run, gradients.run.comm
        self._expected = expected
        self._plans: dict[_Kind, RunPlan] = {}
        """Of the next evaluation, kept while others have the memory."""
        self._errors: dict[_Kind, Mapping[str, float]] = {}
        """Errors of the identities, of those whose derivatives were found to be right."""
        self._kind: _Kind | None = None
        """Which one has the memory, by these two:"""
        self._stepper: SecondOrderStepper | None = None
        self._evaluations: Evaluations | None = None

    def checked(
        self, directions: Any, block: Any, *, single: bool = False
    ) -> tuple[dict[str, NDArray[Any]], int | None]:
        """Return the arguments of `evaluate`, once all ranks have found them in order.

        A `single` direction is given without a leading axis.

        Raises
        ------
        ArgumentError
            On every rank.
        """
        check = partial(checked_directions, self._run.stepper, directions, block, single=single)
        given, size = agree_on(check, self._comm, catch=ArgumentError)
        require_same(self._comm, directions=_count(given), block=size)
        return given, size

    def evaluate(
        self,
        directions: Mapping[str, NDArray[Any]],
        block: int | None,
        observers: Sequence[Observer],
        *,
        gauss_newton: bool,
    ) -> SecondOrder:
        """Return the products with directions; see `adjoint.Functional.second_order`."""
        count = _count(directions)
        size = min(block or count, count)
        if block is None:
            size = self._block_size(directions, gauss_newton=gauss_newton)
        found: list[SecondOrder] = []
        for start in range(0, count, size):
            kind, part = _Kind(gauss_newton, size), _block(directions, start, size)
            found.append(self._evaluate(kind, part, observers))
        products = {
            name: np.concatenate([each.products[name] for each in found])[:count]
            for name in found[0].products
        }
        first, last = found[0], found[-1]
        return replace(last, gradient=first.gradient, cost=first.cost, products=products)

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Also where this was interrupted."""
        if self._stepper is not None:
            self._stepper.close()
        if self._evaluations is not None and self._kind is not None:
            self._evaluations.close()
            if self._evaluations.plan is not None:
                self._plans[self._kind] = self._evaluations.plan
        self._kind = self._stepper = self._evaluations = None

    # -- inside -------------------------------------------------------------------------------

    def _block_size(self, directions: Mapping[str, NDArray[Any]], *, gauss_newton: bool) -> int:
        """Return how many directions share one evaluation."""

        def trial(block: int) -> Trial:
            kind = _Kind(gauss_newton, block)
            stepper, evaluations = self._prepared(kind, _block(directions, 0, block))
            return Trial(evaluations.run, stepper.besides_bytes, evaluations.planned)

        return choose_block(self._run, _count(directions), trial)

    def _evaluate(
        self, kind: _Kind, directions: Mapping[str, NDArray[Any]], observers: Sequence[Observer]
    ) -> SecondOrder:
        stepper, evaluations = self._prepared(kind, directions)
        try:
            part, report = evaluations.evaluate(observers)
        except AdjointError as error:
            speak_of_tangents(error, self._run.stepper, besides=stepper.besides_bytes)
            raise
        if kind not in self._errors and stepper.identities:
            self._errors[kind] = require_right(stepper.identities, self._comm)
        cost = sum_costs(part, evaluations.run, stepper.accumulators)
        own = None if kind.gauss_newton else self._sum(self._run.stepper.accumulators)
        grown = stepper.products()
        # Each direction in a reduction of its own, whose order does not depend on the block.
        summed = [
            self._sum({k: np.array(a[i]) for k, a in grown.items()}) for i in range(kind.block)
        ]
        products = {name: np.stack([each[name] for each in summed]) for name in grown}
        errors = self._errors.get(kind, {})
        return SecondOrder(cost, own, products, kind.block, report, errors)

    def _sum(self, grown: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return sum_gradients(grown, self._run.capabilities.distributed, self._comm)

    def _prepared(
        self, kind: _Kind, directions: Mapping[str, NDArray[Any]]
    ) -> tuple[SecondOrderStepper, Evaluations]:
        """Return the stepper of a kind, with these directions, and its evaluations."""
        if kind != self._kind or self._stepper is None or self._evaluations is None:
            self.close()
            settle_leaf(self._run)  # so that cost and gradient have the bits of a gradient alone
            inner = self._run.stepper
            make = partial(second_order, inner, directions, gauss_newton=kind.gauss_newton)
            stepper = agree_on(make, self._comm, catch=(ArgumentError, StepperError))
            agree_on(partial(check_stepper, stepper), self._comm, catch=StepperError)
            self._kind, self._stepper = kind, stepper
            self._evaluations = self._evaluations_of(stepper, self._plans.get(kind))
        else:
            self._stepper.take_directions(directions)
        return self._stepper, self._evaluations

    def _evaluations_of(self, stepper: SecondOrderStepper, plan: RunPlan | None) -> Evaluations:
        """Return those of a second-order stepper, in what is left of memory and disk."""
        options, besides = self._run.options, stepper.besides_bytes
        if any(self._comm.gather(besides)) and (options.schedule is None or options.memory_bytes):
            options = replace(options, memory_bytes=max(0, memory_bytes(self._run) - besides))
        options = replace(options, trace=None)
        if self._run.file is not None and not self._run.file.is_temporary():
            if options.disk_bytes is not None:
                left = options.disk_bytes - self._gradients.file_bytes()
                options = replace(options, disk_bytes=max(0, left))
            options = replace(options, file=f"{options.file}.second")
        run = Run.of(stepper, self._run.num_steps, options, self._comm)
        if run.file is not None and run.file.layout_found() is not None:
            # Other directions than those of the file may be given, or another number of them.
            run.file.close()
            options = replace(options, overwrite=True)
            run = Run.of(stepper, self._run.num_steps, options, self._comm)
        return Evaluations(run, self._expected, plan)


def _count(directions: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(directions.values())))


def _block(
    directions: Mapping[str, NDArray[Any]], start: int, size: int
) -> dict[str, NDArray[Any]]:
    """Return `size` directions from one on, zeros where there are no more."""
    found: dict[str, NDArray[Any]] = {}
    for name, given in directions.items():
        part = given[start : start + size]
        missing = np.zeros((size - len(part), *part.shape[1:]), part.dtype)
        found[name] = np.concatenate([part, missing]) if len(missing) else part
    return found
