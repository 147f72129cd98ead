"""A scan of JAX as a stepper: carries are NumPy arrays, leaves are compiled programs.

State, adjoint and gradients are NumPy arrays, which the driver keeps and may overwrite. JAX takes
them without a copy if they are aligned to cache lines, as the driver's blocks are; results are
copied. A leaf costs one call of a program, about 20 microseconds, and one copy of its carry. No
program is running when a method returns, so the memory of arguments may be overwritten then.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays, Scratch, aligned_zeros, copy_arrays, state_bytes
from adjoint.steppers.second_order import SecondOrderOfLeaves
from solvers.jax.batch import Batch
from solvers.jax.leaf import LeafPrograms, Selected
from solvers.jax.rows import padded
from solvers.jax.second_order import SecondOrderScan
from solvers.jax.trees import TreeForm, chosen, merged

__all__ = ["ScanStepper"]

Named = dict[str, NDArray[Any]]

USUAL_LEAF = 64
"""Steps of a leaf, unless another number is better."""


class ScanStepper:
    """A stepper for ``lax.scan``, created by `solvers.jax.value_and_grad`.

    The state is the carry, one array per leaf; leaves of integers, booleans and PRNG keys are
    replay data. The controls are copies of the leaves that have a gradient: ``params…``,
    ``carry0…`` and, with one row per step, ``xs…`` and ``targets…``. Parameters are the same on all
    ranks; everything else is the rank's own.

    Parameters
    ----------
    programs
        The model's programs, and the leaves that have a gradient.
    batch
        Parameters, initial carry and data, of the forms that the programs are compiled for.
    num_steps
        Steps that the driver will take: the largest number of any rank.
    leaf_steps
        Steps recorded and pulled back together, by one program; None leaves them to the driver.

    Raises
    ------
    ArgumentError
        Rows that a function returns are to have a gradient.
    """

    reproducible = True
    needs_last_state = False
    tape_is_first_state = True

    def __init__(
        self, programs: LeafPrograms, batch: Batch, num_steps: int, leaf_steps: int | None
    ) -> None:
        self.leaf_sensitive = leaf_steps is None
        self.leaf_steps = min(USUAL_LEAF if leaf_steps is None else leaf_steps, num_steps)
        self.first_non_finite: int | None = None
        """The first step since `start` whose loss is not finite; None if all are."""
        self.programs = programs
        carry = programs.forms.carry
        values = self._values(batch).items()
        self.controls = {name: np.array(value, order="C") for name, value in values}
        self.accumulators = {
            name: aligned_zeros(c.shape, c.dtype) for name, c in self.controls.items()
        }
        self.state: Arrays = _zeros(carry)
        moving = chosen(carry.names, carry.differentiable)
        self.adjoint = {
            name: aligned_zeros(self.state[name].shape, self.state[name].dtype) for name in moving
        }
        self.tape_memory = Scratch(partial(_zeros, carry))
        self._tapes: dict[tuple[int, int], Arrays] = {}
        self._loss_dtypes: dict[str, np.dtype[Any]] = {}
        self.use(batch)
        if batch.lengths is not None:
            first = [row for tree in (batch.xs, batch.targets) for row in tree.read(0, 1, 1)]
            programs.check_mixing(self.params, self._initial, first)

    def use(self, batch: Batch) -> None:
        """Replace parameters, initial carry and data by others that `accepts` accepts."""
        self._batch = batch
        for name, value in self._values(batch).items():
            np.copyto(self.controls[name], value)
        forms = self.programs.forms
        self._fixed = forms.params.arrays(batch.params)
        self._initial = forms.carry.arrays(batch.carry0)
        self.final_target = forms.final_target.arrays(batch.final_target)
        self._update_params()

    def accepts(self, batch: Batch) -> bool:
        """Whether arguments have the forms of the present ones, so that `use` can take them."""
        present = self._batch
        if self.per_step and (batch.xs.sizes, batch.targets.sizes) != (
            present.xs.sizes,
            present.targets.sizes,
        ):
            return False
        return batch.forms == present.forms

    @property
    def loss_dtype(self) -> np.dtype[Any] | None:
        """Dtype of the sum of the losses; None before the first was computed."""
        dtypes = list(self._loss_dtypes.values())
        return np.dtype(jnp.result_type(*dtypes)) if dtypes else None

    def gradient(self, argument: int, gradients: Arrays) -> Any:
        """Return gradients, named like the controls, as a tree like an argument.

        Leaves without a derivative have gradients of dtype ``float0``.
        """
        tree = Selected._fields[argument]
        form = self.programs.forms.form(tree)
        leading = (self._batch.num_steps,) if tree in {"xs", "targets"} else ()
        leaves: list[Any] = []
        for name, leaf in zip(self.programs.forms.names(tree), form.types, strict=True):
            if leaf.differentiable:
                leaves.append(jnp.asarray(gradients[name]))
            else:
                leaves.append(np.zeros(leading + leaf.traced_shape, jax.dtypes.float0))
        return jax.tree.unflatten(form.structure, leaves)

    # -- the protocol -------------------------------------------------------------------------

    @property
    def distributed(self) -> tuple[str, ...]:
        """The controls that every rank has its own part of: all but the parameters."""
        return (*self.names_of("carry0"), *self.per_step)

    @property
    def per_step(self) -> tuple[str, ...]:
        """The controls with one row per step."""
        return (*self.names_of("xs"), *self.names_of("targets"))

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of a carry, and of the program that pulls back `steps` steps.

        Of a leaf of another size than `leaf_steps`, a little more than it takes: that of a scan
        grows with its steps, and only one program is compiled.
        """
        carry, leaf = state_bytes(self.state), self.leaf_steps
        if steps == leaf or not self.leaf_sensitive:
            return carry + self.programs.scratch_bytes(steps)
        scratch, results = self.programs.scratch_bytes(leaf), self.programs.result_bytes(leaf)
        if steps > leaf:
            return carry + scratch * steps // leaf
        # twice the results: XLA sums them up in memory besides
        return 3 * carry + 2 * results + max(0, scratch - 2 * results) * steps // leaf

    def fingerprint(self) -> dict[str, Any]:
        """Return names, shapes, dtypes and values of the arguments, as far as they are arrays."""
        forms = self.programs.forms
        trees = [(form.names, form.types) for form in (forms.params, forms.xs, forms.targets)]
        batch = self._batch
        fixed = zip(forms.params.names, self._fixed, strict=True)
        initial = zip(forms.carry.names, self._initial, strict=True)
        return {
            "forms": (trees, forms.batch, self.leaf_steps),
            **dict(fixed),
            **dict(initial),
            **batch.xs.arrays(),
            **batch.targets.arrays(),
            **dict(zip(forms.final_target.names, self.final_target, strict=True)),
            "lengths": None if batch.lengths is None else batch.lengths.steps,
        }

    def second_order(
        self, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> SecondOrderOfLeaves:
        """Return a stepper for second-order products, by forward over reverse differentiation.

        Raises
        ------
        StepperError
            A leaf of carry or controls is complex.
        """
        return SecondOrderScan(self, directions, gauss_newton=gauss_newton)

    def start(self) -> None:
        """Set the carry to the initial one, and the accumulators to zero."""
        self._update_params()
        initial = merged(self._initial, self.selected.carry0, self._controls_of("carry0"))
        for array, value in zip(self.state.values(), initial, strict=True):
            np.copyto(array, value)
        for total in self.accumulators.values():
            total[...] = 0
        self.first_non_finite = None
        self._tapes.clear()
        self.tape_memory.begin()

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self.state = arrays

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Advance the carry from `start` to `stop`, in place or into `out`."""
        source, self.state = self.state, self.state if out is None else out
        for first in range(start, min(stop, self.end), self.leaf_steps):
            last = min(first + self.leaf_steps, stop)
            after, losses = self._run(source, first, last)
            for name, array in zip(source, after, strict=True):
                np.copyto(self.state[name], np.asarray(array))
            source = self.state
            cost = self._add_losses(losses, first, cost)
        if source is not self.state:
            copy_arrays(source, self.state)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the carry from `start` to `stop`, keeping that at `start`."""
        tape = self.state
        if reach_stop:
            (tape,) = self.tape_memory.take(1)
            copy_arrays(self.state, tape)
            cost = self.advance(start, stop, cost=cost)
        elif cost is not None and start < self.end:
            cost = self._add_losses(self._run(tape, start, stop)[1], start, cost)
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the final loss, and set the adjoint to its derivative."""
        for array in self.adjoint.values():
            array[...] = 0
        if self.programs.model.final_loss is None:
            return cost
        carry = list(self.state.values())
        program = self.programs.end()
        loss, (params, adjoint) = program(self.params, carry, self.final_target)
        self._loss_dtypes["end"] = loss.dtype
        self._add("params", params)
        self._replace_adjoint(adjoint)
        return cost + float(loss)

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint back from `stop` to `start`, from the carry at `start`."""
        tape = self._tapes.pop((start, stop))
        if start < self.end:
            leaf = self.params, list(tape.values()), *self.rows(start, stop)
            program = self.programs.pull_back(stop - start)
            params, adjoint, rows = program(*leaf, list(self.adjoint.values()))
            self._add("params", params)
            self._replace_adjoint(adjoint)
            for name, row in zip(self.per_step, rows, strict=True):
                total = self.accumulators[name][start:stop]
                total += np.asarray(row)[: total.shape[0]]
        self.tape_memory.give_back([tape])

    def finish(self) -> None:
        """Add the adjoint at step 0 to the gradient of the initial carry."""
        moving = zip(self.programs.forms.carry.differentiable, self.selected.carry0, strict=True)
        selected = [flag for differentiable, flag in moving if differentiable]
        self._add("carry0", chosen(self.adjoint.values(), selected))

    # -- running programs ---------------------------------------------------------------------

    def _update_params(self) -> None:
        """Copy the parameters to JAX, with the present values of the controls."""
        params = merged(self._fixed, self.selected.params, self._controls_of("params"))
        self.params = [jnp.asarray(array) for array in params]

    @property
    def selected(self) -> Selected:
        return self.programs.selected

    @property
    def end(self) -> int:
        """The step from which all sequences have ended."""
        return self._batch.end

    def _run(self, carry: Arrays, start: int, stop: int) -> tuple[list[Any], NDArray[Any]]:
        """Return the carry at `stop`, given that at `start`, and the loss of each step."""
        program = self.programs.advance(stop - start)
        after, losses = program(self.params, list(carry.values()), *self.rows(start, stop))
        if self.programs.model.loss is not None:
            self._loss_dtypes["steps"] = losses.dtype
        return after, np.asarray(losses)

    def rows(self, start: int, stop: int) -> tuple[list[Any], Any]:
        """Return the rows of the steps and, with lengths, the mask of sequences alive at them."""
        batch = self._batch
        rows: list[Any] = []
        for tree in (batch.xs, batch.targets):
            rows += tree.read(start, stop, batch.end)
        if self.per_step:
            controls = self._controls_of("xs") + self._controls_of("targets")
            last = min(stop, batch.end)
            mine = [padded(control[start:last], stop - start) for control in controls]
            rows = merged(rows, self.selected.xs + self.selected.targets, mine)
        lengths = batch.lengths
        return rows, None if lengths is None else lengths.alive(start, stop)

    def _add_losses(self, losses: NDArray[Any], start: int, cost: float | None) -> float | None:
        """Add the losses of steps one by one; keep the first step whose loss is not finite."""
        if cost is None:
            return None
        wide = losses.astype(np.float64)
        if self.first_non_finite is None and not np.isfinite(wide).all():
            self.first_non_finite = start + int(np.isfinite(wide).argmin())
        for loss in wide.tolist():
            cost += loss
        return cost

    def _replace_adjoint(self, adjoint: list[Any]) -> None:
        for array, new in zip(self.adjoint.values(), adjoint, strict=True):
            np.copyto(array, np.asarray(new))

    def _add(self, tree: str, gradients: list[Any]) -> None:
        for name, gradient in zip(self.names_of(tree), gradients, strict=True):
            total = self.accumulators[name]
            np.add(total, np.asarray(gradient), out=total)

    def names_of(self, tree: str) -> list[str]:
        """Return the names of the controls in an argument."""
        names = self.programs.forms.names(tree)
        return chosen(names, getattr(self.selected, tree))

    def _controls_of(self, tree: str) -> list[NDArray[Any]]:
        return [self.controls[name] for name in self.names_of(tree)]

    def _values(self, batch: Batch) -> Named:
        """Return the values of the controls in a batch: views, not to be written to."""
        forms, selected = self.programs.forms, self.selected
        values = {
            "params": chosen(forms.params.arrays(batch.params), selected.params),
            "carry0": chosen(forms.carry.arrays(batch.carry0), selected.carry0),
            "xs": batch.xs.whole(selected.xs),
            "targets": batch.targets.whole(selected.targets),
        }
        return {
            name: value
            for tree, arrays in values.items()
            for name, value in zip(self.names_of(tree), arrays, strict=True)
        }


def _zeros(form: TreeForm) -> Named:
    pairs = zip(form.names, form.types, strict=True)
    return {name: aligned_zeros(leaf.shape, leaf.dtype) for name, leaf in pairs}
