"""Exact gradients of scans of JAX over very long sequences, in bounded memory.

``jax.value_and_grad`` of a ``lax.scan`` over ``n`` steps keeps the residuals of every step: for an
LSTM a dozen arrays of the size of its carry. `value_and_grad` computes the same value and gradient,
without truncation, but keeps only some carries, at the starts of leaves of 64 steps, and recomputes
the steps between them. This is checkpointing (Griewank and Walther 2000,
doi:10.1145/347837.347846), planned by `adjoint` from measured costs within a memory budget, with a
file if that pays::

    def body(params, carry, x):                  # of lax.scan, with the parameters before it
        ...
        return carry, y

    def loss(params, y, target):                 # of one step; the value is their sum
        ...

    value_and_grad = solvers.jax.value_and_grad(body, loss, memory="500 MB")
    value, grads = value_and_grad(params, carry0, xs, targets)

`body`, `loss` and `final_loss` are pure functions of pytrees, traced and compiled once per length
of leaf: all leaves except the last have `leaf_steps` steps. ``xs`` and ``targets`` may be arrays,
memory maps, HDF5 datasets or functions of a range of steps; only the rows of one leaf are read at a
time. Under ``mpirun``, with `comm`, every rank has its own sequences, and the gradient of the
parameters is summed over ranks once, with the same bits on all of them.

A body that closes over its parameters, ``make_body(params) -> body(carry, x)``, becomes
``lambda params, carry, x: make_body(params)(carry, x)``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import jax
import jax.core
import jax.numpy as jnp
from numpy.typing import ArrayLike

import adjoint
from adjoint.closing import Closing
from adjoint.errors import AdjointError, ArgumentError
from adjoint.parallel import agree_on, communicator
from solvers.jax.batch import Batch, settled_forms
from solvers.jax.leaf import LeafPrograms, Model, Selected
from solvers.jax.stepper import ScanStepper

__all__ = ["ScanValueAndGrad", "value_and_grad"]

Tree = Any


def value_and_grad(
    body: Callable[..., Any],
    loss: Callable[..., Any] | None = None,
    *,
    final_loss: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] = 0,
    batch_axes: Any = 0,
    leaf_steps: int | None = None,
    **options: Unpack[adjoint.RunOptions],
) -> "ScanValueAndGrad":
    """Return a function that computes the sum of a scan's losses and its gradient.

    It is called as ``f(params, carry0, xs, targets)``: see `ScanValueAndGrad.__call__`. The value
    is the sum of `loss` over all steps, plus `final_loss`; on several ranks, summed over ranks.

    Parameters
    ----------
    body
        ``(params, carry, x) -> (carry, y)``: the body of ``lax.scan``, after the parameters.
    loss
        The loss of one step: ``(params, y) -> loss``, or ``(params, y, target) -> loss`` with
        targets. A real number, or an array of them, which is summed; with lengths its first axis
        counts the sequences.
    final_loss
        The loss of the carry after the last step: ``(params, carry) -> loss``, or
        ``(params, carry, final_target) -> loss`` with a final target.
    argnums
        Numbers of the arguments among ``params, carry0, xs, targets``, from 0, that the gradient is
        taken with respect to: an integer, or a sequence, for which the gradient is a tuple. Xs and
        targets that have a gradient are held in memory as a whole, and so is their gradient.
    batch_axes
        With lengths, the axis of the carry's leaves that counts sequences. A pytree prefix of the
        carry, as in ``jax.vmap``: an axis for each leaf, or None for a leaf without one, which
        takes steps as long as any sequence is alive.
    leaf_steps
        Steps of a leaf, which one program runs and another pulls back. JAX's residuals of these
        steps must fit in `memory`. By default 64, or as many as suit the memory; the number is in
        the report. The last bits of the gradient depend on it, and on none of the following but
        `comm`.
    **options
        See `adjoint.RunOptions`. `comm` has the ranks, each with sequences of its own. `memory` is
        for carries that are kept and for what JAX keeps of one leaf; not for parameters, their
        gradient, or rows.

    Raises
    ------
    ArgumentError
        There is no loss, or `argnums` or `leaf_steps` is out of range.
    TypeError
        There is no option of that name.
    """
    unknown = sorted(set(options) - adjoint.RunOptions.__optional_keys__)
    if unknown:
        known = ", ".join(sorted(adjoint.RunOptions.__optional_keys__))
        raise TypeError(
            f"value_and_grad() got an unexpected keyword argument {unknown[0]!r}: "
            f"the options are {known}"
        )
    if loss is None and final_loss is None:
        raise ArgumentError("there is nothing to differentiate: give loss=, final_loss= or both")
    if leaf_steps is not None and leaf_steps < 1:
        raise ArgumentError(f"leaf_steps={leaf_steps}: a leaf has at least one step")
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not numbers or any(n not in range(len(Selected._fields)) for n in numbers):
        raise ArgumentError(
            f"argnums={argnums!r}: give the numbers, from 0, of arguments among "
            f"{', '.join(Selected._fields)}"
        )
    return ScanValueAndGrad(
        Model(body, loss, final_loss, batch_axes),
        argnums if isinstance(argnums, int) else numbers,
        leaf_steps,
        options,
    )


class ScanValueAndGrad(Closing):
    """Computes value and gradient of a scan. Created by `value_and_grad`.

    The first call compiles, measures and plans; later calls with arguments of the same shapes and
    dtypes do not. Every call is collective on the communicator. A context manager: leaving it, or
    `close`, releases memory, file and communicators.
    """

    def __init__(
        self,
        model: Model,
        argnums: int | tuple[int, ...],
        leaf_steps: int | None,
        options: adjoint.RunOptions,
    ) -> None:
        self._model = model
        self._argnums = argnums
        self._leaf_steps = leaf_steps
        self._options = options
        self._ranks = communicator(options.get("comm"))
        self._programs: LeafPrograms | None = None
        self._stepper: ScanStepper | None = None
        self._functional: adjoint.Functional | None = None
        self._closed = False

    def __call__(
        self,
        params: Tree,
        carry0: Tree,
        xs: Tree = None,
        targets: Tree = None,
        *,
        final_target: Tree = None,
        length: int | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[jax.Array, Tree]:
        """Return the value and its gradient.

        The gradient is a pytree of JAX arrays with the structure of the argument. As with
        ``jax.grad`` and ``allow_int``, the gradient of integers, booleans and PRNG keys has dtype
        ``float0``. Parameters must be the same on all ranks, and their gradient is summed over
        ranks; everything else is the rank's own.

        Parameters
        ----------
        params, carry0
            Pytrees of arrays: the parameters of the body, and the initial carry.
        xs, targets
            Pytrees whose leaves have one row per step: arrays of JAX or NumPy, memory maps, HDF5
            datasets, or functions ``(start, stop) -> rows``; or one function that returns a pytree
            of rows. A function must return the same rows when it is called again.
        final_target
            A pytree of arrays, for the final loss.
        length
            Number of steps; by default the number of rows.
        lengths
            Steps of each sequence of the batch. After its end a sequence's carry stays unchanged
            and its losses are not counted. Rows have one entry for each sequence along their first
            axis; those of another size are the same for all. Padding may hold anything; from the
            longest length on nothing is read. All ranks take as many steps as the longest sequence
            of any rank.

        Raises
        ------
        ArgumentError
            Rows are missing, an argument has the wrong form, or ranks without `lengths` have
            different numbers of steps; or this is called inside ``jax.jit``, ``grad`` or ``vmap``.
        StepperError
            The body changes structure, shape or dtype of the carry, or the rows of a function
            change theirs. The message names the step. With lengths, a sequence depends on others.
        NonFiniteError
            The loss of a step, which the message names, or the last carry is not finite.
        """
        functional = self.functional(
            params, carry0, xs, targets, final_target=final_target, length=length, lengths=lengths
        )
        stepper = self._stepper
        assert stepper is not None
        cost, found = functional.value_and_gradient()
        value = jnp.asarray(cost, stepper.loss_dtype)
        if isinstance(self._argnums, int):
            return value, stepper.gradient(self._argnums, found)
        return value, tuple(stepper.gradient(number, found) for number in self._argnums)

    def functional(
        self,
        params: Tree,
        carry0: Tree,
        xs: Tree = None,
        targets: Tree = None,
        *,
        final_target: Tree = None,
        length: int | None = None,
        lengths: ArrayLike | None = None,
    ) -> adjoint.Functional:
        """Return the functional that a call evaluates, for `adjoint.verification` for example.

        Its controls are the leaves that have a gradient, named by their paths:
        ``params['bias']``. It belongs to this object: do not close it, and do not use it after
        another call.
        """
        with self._ranks.failing():
            arguments = params, carry0, xs, targets
            named = {"final_target": final_target, "length": length, "lengths": lengths}
            given = agree_on(
                lambda: self._checked(*arguments, **named), self._ranks, catch=AdjointError
            )
            return self._prepared(given, self._common_steps(given))

    @property
    def report(self) -> adjoint.Report | None:
        """The report of the last evaluation; None before the first."""
        return None if self._functional is None else self._functional.report

    def close(self) -> None:
        """Release memory and file; a named file is kept. Collective."""
        self._release()
        if not self._closed:
            self._closed = True
            self._ranks.free()

    # -- preparation --------------------------------------------------------------------------

    def _checked(self, *arguments: Tree, **named: Any) -> Batch:
        _refuse_tracers(*arguments, *named.values())
        return Batch.of(self._model, *arguments, **named)

    def _common_steps(self, given: Batch) -> int:
        """Return the number of steps that all ranks take. Collective."""
        found = self._ranks.gather((given.num_steps, given.lengths is None))
        steps = [num_steps for num_steps, _ in found]
        if len(set(steps)) > 1 and any(without for _, without in found):
            error = ArgumentError(
                f"the ranks have {steps} steps: give the same length= on all of them, or lengths= "
                "on all if sequences end at different steps"
            )
            self._ranks.agree(error)
        return max(steps)

    def _prepared(self, given: Batch, num_steps: int) -> adjoint.Functional:
        """Return the functional, a new one if the forms of arguments have changed. Collective."""
        made = self._functional
        fits = (
            made is not None
            and self._stepper is not None
            and made.num_steps == num_steps
            and self._stepper.accepts(given)
        )
        if made is not None and self._stepper is not None and all(self._ranks.gather(fits)):
            self._stepper.use(given)
            return made
        self._release()
        self._stepper = agree_on(
            lambda: self._new_stepper(given, num_steps), self._ranks, catch=AdjointError
        )
        self._functional = adjoint.Functional(self._stepper, num_steps, **self._options)
        return self._functional

    def _new_stepper(self, given: Batch, num_steps: int) -> ScanStepper:
        forms = settled_forms(self._model, given)
        if self._programs is None or self._programs.forms != forms:
            numbers = (self._argnums,) if isinstance(self._argnums, int) else self._argnums
            self._programs = LeafPrograms(self._model, forms, forms.selected(numbers))
        return ScanStepper(self._programs, given, num_steps, self._leaf_steps)

    def _release(self) -> None:
        functional, self._functional, self._stepper = self._functional, None, None
        if functional is not None:
            functional.close()


def _refuse_tracers(*arguments: Tree) -> None:
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments)):
        raise ArgumentError(
            "this gradient is computed outside of JAX, with checkpoints, and cannot be traced: "
            "call it outside of jax.jit, jax.vmap and jax.grad. For the gradient of something "
            "computed before the scan, take that of xs or carry0 by argnums=, and continue it by "
            "jax.vjp"
        )
