"""A scan of JAX as a stepper: carries in NumPy's memory, leaves in compiled programs.

The state, the adjoint and the gradients are NumPy arrays, because the driver keeps them and may
overwrite them. A program takes them as they are, without a copy where they lie on a cache line of
their own, as in the driver's blocks; what it returns is copied. A leaf costs one call, of some 20
microseconds, and one copy of its carry. When a method returns no program is under way, so memory
that was an argument may be overwritten.
"""

import hashlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays, Scratch, copy_arrays, state_bytes
from solvers.jax.batch import Arguments
from solvers.jax.leaf import LeafPrograms, Wanted
from solvers.jax.rows import prolonged
from solvers.jax.trees import TreeForm, chosen, merged

__all__ = ["ScanStepper"]

Named = dict[str, NDArray[Any]]


class ScanStepper:
    """A stepper whose steps are those of ``lax.scan``; `solvers.jax.scan.value_and_grad` makes it.

    Its state is the carry, a name for each leaf; leaves of integers, flags and PRNG keys are replay
    data. Its controls are copies of the differentiable leaves that a gradient is wanted for:
    ``params…``, ``carry0…`` and, with a row for each step, ``xs…`` and ``targets…``. Parameters
    are the same on all ranks, all else is each rank's own.

    Parameters
    ----------
    programs
        What is computed, and what the gradient is with respect to.
    given
        Parameters, initial carry and data, of the forms that the programs are for.
    num_steps
        How many steps the driver will take: on several ranks the most that any of them has.
    leaf_steps
        How many steps are recorded and pulled back together, by one program.

    Raises
    ------
    ArgumentError
        A gradient is wanted for rows that a function gives.
    """

    reproducible = True

    def __init__(
        self, programs: LeafPrograms, given: Arguments, num_steps: int, leaf_steps: int
    ) -> None:
        self.leaf_steps = min(leaf_steps, num_steps)
        self.first_non_finite: int | None = None
        """The first step since `start` whose loss was infinite or not a number."""
        self._programs = programs
        carry = programs.forms.carry
        values = self._values(given).items()
        self._controls = {name: np.array(value, order="C") for name, value in values}
        self._accumulators = {name: np.zeros_like(c) for name, c in self._controls.items()}
        self._state: Arrays = _zeros(carry)
        moving = chosen(carry.names, carry.differentiable)
        self._adjoint = {name: np.zeros_like(self._state[name]) for name in moving}
        self._scratch = Scratch(partial(_zeros, carry))
        self._tapes: dict[tuple[int, int], Arrays] = {}
        self._loss_dtypes: dict[str, np.dtype[Any]] = {}
        self.load(given)

    def load(self, given: Arguments) -> None:
        """Take parameters, initial carry and data from arguments like those it was made with."""
        self._given = given
        for name, value in self._values(given).items():
            np.copyto(self._controls[name], value)
        forms = self._programs.forms
        self._fixed = forms.params.arrays(given.params)
        self._initial = forms.carry.arrays(given.carry0)
        self._final_target = forms.final_target.arrays(given.final_target)
        self._take_params()

    def takes(self, given: Arguments) -> bool:
        """Whether `load` can be given these arguments."""
        mine = self._given
        if self.per_step and (given.xs.sizes, given.targets.sizes) != (
            mine.xs.sizes,
            mine.targets.sizes,
        ):
            return False
        return given.forms == mine.forms

    @property
    def loss_dtype(self) -> np.dtype[Any] | None:
        """The dtype of the losses' sum; None as long as none was computed."""
        found = list(self._loss_dtypes.values())
        return np.dtype(jnp.result_type(*found)) if found else None

    def gradient(self, argument: int, found: Arrays) -> Any:
        """Return the gradients in `found`, named like the controls, as a tree like an argument.

        Leaves without a derivative have gradients of dtype ``float0``.
        """
        tree = Wanted._fields[argument]
        form = self._programs.forms.form(tree)
        leading = (self._given.num_steps,) if tree in {"xs", "targets"} else ()
        leaves: list[Any] = []
        for name, leaf in zip(self._programs.forms.names(tree), form.types, strict=True):
            if leaf.differentiable:
                leaves.append(jnp.asarray(found[name]))
            else:
                leaves.append(np.zeros(leading + leaf.traced_shape, jax.dtypes.float0))
        return jax.tree.unflatten(form.structure, leaves)

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live carry."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The adjoint of the carry's differentiable leaves."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """Copies of the leaves that a gradient is wanted for."""
        return self._controls

    @property
    def accumulators(self) -> Arrays:
        """The gradients as they grow."""
        return self._accumulators

    @property
    def distributed(self) -> tuple[str, ...]:
        """The controls that are each rank's own: all but the parameters."""
        return (*self._names("carry0"), *self.per_step)

    @property
    def per_step(self) -> tuple[str, ...]:
        """The controls with a row for each step."""
        return (*self._names("xs"), *self._names("targets"))

    def tape_bytes(self, steps: int) -> int:
        """Memory for a carry, and what the program that pulls back so many steps uses besides."""
        return state_bytes(self._state) + self._programs.scratch_bytes(steps)

    def fingerprint(self) -> str:
        """Return a hash of what is given to the programs: shapes, dtypes and names, not numbers."""
        forms = self._programs.forms
        told = [(form.names, form.types) for form in (forms.params, forms.xs, forms.targets)]
        return hashlib.sha256(repr((told, forms.batch, self.leaf_steps)).encode()).hexdigest()

    def start(self) -> None:
        """Make the carry the initial one, and the accumulators zero."""
        self._take_params()
        initial = merged(self._initial, self._wanted.carry0, self._controls_of("carry0"))
        for array, value in zip(self._state.values(), initial, strict=True):
            np.copyto(array, value)
        for total in self._accumulators.values():
            total[...] = 0
        self.first_non_finite = None
        self._tapes.clear()
        self._scratch.begin()

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self._state = arrays

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Take the carry from `start` to `stop`, in its own memory or in `out`."""
        source, self._state = self._state, self._state if out is None else out
        for first in range(start, min(stop, self._end), self.leaf_steps):
            last = min(first + self.leaf_steps, stop)
            after, losses = self._run(source, first, last)
            for name, array in zip(source, after, strict=True):
                np.copyto(self._state[name], np.asarray(array))
            source = self._state
            cost = self._spend(losses, first, cost)
        if source is not self._state:
            copy_arrays(source, self._state)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Do as `advance`, keeping the carry at `start`."""
        tape = self._state
        if reach_stop:
            tape = self._scratch.take()
            copy_arrays(self._state, tape)
            cost = self.advance(start, stop, cost=cost)
        elif cost is not None and start < self._end:
            cost = self._spend(self._run(tape, start, stop)[1], start, cost)
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the final loss; make the adjoint its derivative."""
        for array in self._adjoint.values():
            array[...] = 0
        if self._programs.model.final_loss is None:
            return cost
        carry = list(self._state.values())
        loss, found = self._programs.end()(self._params, carry, self._final_target)
        self._loss_dtypes["end"] = loss.dtype
        self._add("params", found[0])
        self._replace_adjoint(found[1])
        return cost + float(loss)

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint from `stop` to `start`, by the leaf's carry."""
        tape = self._tapes.pop((start, stop))
        if start < self._end:
            given = self._params, list(tape.values()), *self._rows(start, stop)
            program = self._programs.pull_back(stop - start)
            params, adjoint, rows = program(*given, list(self._adjoint.values()))
            self._add("params", params)
            self._replace_adjoint(adjoint)
            for name, row in zip(self.per_step, rows, strict=True):
                total = self._accumulators[name][start:stop]
                total += np.asarray(row)[: total.shape[0]]
        if tape is not self._state:
            self._scratch.give_back([tape])

    def finish(self) -> None:
        """Add the adjoint at step 0 to the gradient of the initial carry."""
        moving = zip(self._programs.forms.carry.differentiable, self._wanted.carry0, strict=True)
        wanted = [flag for differentiable, flag in moving if differentiable]
        self._add("carry0", chosen(self._adjoint.values(), wanted))

    # -- inside -------------------------------------------------------------------------------

    def _take_params(self) -> None:
        """Have JAX's arrays of the parameters as the controls are now."""
        params = merged(self._fixed, self._wanted.params, self._controls_of("params"))
        self._params = [jnp.asarray(array) for array in params]

    @property
    def _wanted(self) -> Wanted:
        return self._programs.wanted

    @property
    def _end(self) -> int:
        """The step from which on all sequences have ended."""
        return self._given.end

    def _run(self, carry: Arrays, start: int, stop: int) -> tuple[list[Any], NDArray[Any]]:
        """Return the carry at `stop`, from that at `start`, and the loss of each step."""
        program = self._programs.advance(stop - start)
        after, losses = program(self._params, list(carry.values()), *self._rows(start, stop))
        if self._programs.model.loss is not None:
            self._loss_dtypes["steps"] = losses.dtype
        return after, np.asarray(losses)

    def _rows(self, start: int, stop: int) -> tuple[list[Any], Any]:
        """Return the rows of the steps and, with lengths, which sequences are alive at them."""
        given = self._given
        rows: list[Any] = []
        for tree in (given.xs, given.targets):
            rows += tree.read(start, stop, given.end)
        if self.per_step:
            controls = self._controls_of("xs") + self._controls_of("targets")
            last = min(stop, given.end)
            mine = [prolonged(control[start:last], stop - start) for control in controls]
            rows = merged(rows, self._wanted.xs + self._wanted.targets, mine)
        lengths = given.lengths
        return rows, None if lengths is None else lengths.alive(start, stop)

    def _spend(self, losses: NDArray[Any], start: int, cost: float | None) -> float | None:
        """Add the losses of steps one by one; note the first that is not finite."""
        if cost is None:
            return None
        wide = losses.astype(np.float64)
        if self.first_non_finite is None and not np.isfinite(wide).all():
            self.first_non_finite = start + int(np.isfinite(wide).argmin())
        for loss in wide.tolist():
            cost += loss
        return cost

    def _replace_adjoint(self, found: list[Any]) -> None:
        for array, new in zip(self._adjoint.values(), found, strict=True):
            np.copyto(array, np.asarray(new))

    def _add(self, tree: str, found: list[Any]) -> None:
        for name, gradient in zip(self._names(tree), found, strict=True):
            total = self._accumulators[name]
            np.add(total, np.asarray(gradient), out=total)

    def _names(self, tree: str) -> list[str]:
        """Return the names of the controls in an argument."""
        names = self._programs.forms.names(tree)
        return chosen(names, getattr(self._wanted, tree))

    def _controls_of(self, tree: str) -> list[NDArray[Any]]:
        return [self._controls[name] for name in self._names(tree)]

    def _values(self, given: Arguments) -> Named:
        """Return what the controls are made from. Do not write to it."""
        forms, wanted = self._programs.forms, self._wanted
        values = {
            "params": chosen(forms.params.arrays(given.params), wanted.params),
            "carry0": chosen(forms.carry.arrays(given.carry0), wanted.carry0),
            "xs": given.xs.whole(wanted.xs),
            "targets": given.targets.whole(wanted.targets),
        }
        return {
            name: value
            for tree, arrays in values.items()
            for name, value in zip(self._names(tree), arrays, strict=True)
        }


def _zeros(form: TreeForm) -> Named:
    pairs = zip(form.names, form.types, strict=True)
    return {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in pairs}
