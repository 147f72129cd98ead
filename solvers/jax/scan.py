"""Exact gradients of scans of JAX over very long sequences, in bounded memory.

``jax.value_and_grad`` of a ``lax.scan`` over ``n`` steps keeps what the body's derivative needs of
every step: for an LSTM a dozen arrays of the size of its carry. `value_and_grad` gives the same
value and the same gradient, without truncation, and keeps carries at the starts of some leaves of
64 steps or so; it takes the steps between them again when it needs them. It is the checkpointing of
Griewank and Walther (2000, doi:10.1145/347837.347846), planned by `adjoint` from measured costs
within a budget of bytes, with a file besides where that pays::

    def body(params, carry, x):                  # of lax.scan, with the parameters before it
        ...
        return carry, y

    def loss(params, y, target):                 # of one step; the value is their sum
        ...

    value_and_grad = jax_scan.value_and_grad(body, loss, memory="500 MB")
    value, grads = value_and_grad(params, carry0, xs, targets)

`body`, `loss` and `final_loss` are pure functions of pytrees, traced and compiled once for each
length of a leaf: all leaves are `leaf_steps` long but the last. ``xs`` and ``targets`` may be
arrays, memory maps, HDF5 datasets or functions of the steps that are wanted; only the rows of one
leaf are read at a time. Under ``mpirun``, with `comm`, every rank has its own sequences, and the
gradient of the parameters is summed over ranks once, to the same bits on all of them.

A scan body that closes over its parameters, ``make_body(params) -> body(carry, x)``, is
``lambda params, carry, x: make_body(params)(carry, x)``.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

import adjoint
from adjoint.errors import AdjointError, ArgumentError
from adjoint.parallel import communicator
from solvers.jax.batch import Arguments, settled
from solvers.jax.leaf import LeafPrograms, Model, Wanted
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
    leaf_steps: int = 64,
    **options: Unpack[adjoint.RunOptions],
) -> "ScanValueAndGrad":
    """Return a function that gives the value and the gradient of a scan's summed losses.

    It is called as ``f(params, carry0, xs, targets)``: see `ScanValueAndGrad.__call__`. The value
    is the sum of what `loss` returns for each step, and of `final_loss`; on several ranks, of
    those of all ranks.

    Parameters
    ----------
    body
        ``(params, carry, x) -> (carry, y)``: that of ``lax.scan``, after the parameters.
    loss
        Of one step: ``(params, y) -> loss``, or ``(params, y, target) -> loss`` if targets are
        given. A real number, or an array of them, which is summed; with lengths its first axis
        counts the sequences.
    final_loss
        Of the carry after the last step: ``(params, carry) -> loss``, or
        ``(params, carry, final_target) -> loss`` if a final target is given.
    argnums
        Which of ``params, carry0, xs, targets``, counted from 0, the gradient is with respect to:
        an integer, or a sequence of them, for which the gradient is a tuple. Of xs and targets
        that are differentiated the whole is held in memory, and so is their gradient.
    batch_axes
        With lengths: which axis of the carry's leaves counts the sequences. A pytree prefix of
        the carry, as in ``jax.vmap``: an axis for each leaf, None for a leaf without one, which
        steps on as long as any sequence is alive.
    leaf_steps
        How many steps are compiled into one program, and are recorded and pulled back together.
        What JAX keeps of so many steps must fit in `memory`. The gradient's last bits depend on
        it, and on none of the following but `comm`.
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
    if leaf_steps < 1:
        raise ArgumentError(f"leaf_steps={leaf_steps}: a leaf has at least one step")
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not numbers or any(n not in range(len(Wanted._fields)) for n in numbers):
        raise ArgumentError(
            f"argnums={argnums!r}: give which of {', '.join(Wanted._fields)} to differentiate, "
            "counted from 0"
        )
    return ScanValueAndGrad(
        Model(body, loss, final_loss, batch_axes),
        argnums if isinstance(argnums, int) else numbers,
        leaf_steps,
        options,
    )


class ScanValueAndGrad:
    """Gives value and gradient of a scan. Made by `value_and_grad`.

    The first call compiles, measures and plans; later ones with arguments of the same shapes and
    dtypes do not, whatever the numbers are. Every call is collective on the communicator. A
    context manager: leaving it, or `close`, gives back memory, file and communicators.
    """

    def __init__(
        self,
        model: Model,
        argnums: int | tuple[int, ...],
        leaf_steps: int,
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

        The gradient is a pytree like the argument that it is with respect to, of JAX arrays; as
        from ``jax.grad`` with ``allow_int``, that of integers, flags and PRNG keys has the dtype
        ``float0``. Parameters must be the same on all ranks, and their gradient is the sum over
        ranks; everything else is this rank's own.

        Parameters
        ----------
        params, carry0
            Pytrees of arrays: what the body is given, and the first carry.
        xs, targets
            Pytrees whose leaves have a row for each step: arrays of JAX or NumPy, memory maps,
            HDF5 datasets, or functions ``(start, stop) -> rows``; or one such function that gives
            a pytree. A function must give the same rows again when it is asked again.
        final_target
            A pytree of arrays, for the final loss.
        length
            How many steps to take; by default as many as there are rows.
        lengths
            How many steps each sequence of the batch has, one integer each. After its end a
            sequence's carry stays as it is and its losses are not counted. Padding must be finite;
            at the longest length and after it nothing is read. On several ranks all take as many
            steps as the one with the most.

        Raises
        ------
        ArgumentError
            Rows are missing, ranks differ in their numbers of steps and have no `lengths`, an
            argument is not what it must be.
        StepperError
            The body's carry changes its structure, shape or dtype, or a function gives other rows
            than before. The message names the step.
        NonFiniteError
            The loss of a step is infinite or not a number, the message names it; or the last
            carry is.
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
        """Return the cost functional that a call evaluates, for `adjoint.verification` and others.

        Its controls are the leaves to be differentiated, named by their paths:
        ``params['bias']``. It stays this object's own: do not close it, and do not use it after
        another call.
        """
        with self._ranks.failing():
            given, error = None, None
            try:
                given = Arguments.of(
                    self._model,
                    params,
                    carry0,
                    xs,
                    targets,
                    final_target=final_target,
                    length=length,
                    lengths=lengths,
                )
            except AdjointError as refused:
                error = refused
            self._ranks.agree(error)
            assert given is not None
            return self._prepared(given, self._common_steps(given))

    @property
    def report(self) -> adjoint.Report | None:
        """What the last evaluation did, and what it took; None before the first."""
        return None if self._functional is None else self._functional.report

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Collective."""
        self._let_go()
        if not self._closed:
            self._closed = True
            self._ranks.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------

    def _common_steps(self, given: Arguments) -> int:
        """Return how many steps all ranks take. Collective."""
        found = self._ranks.gather((given.num_steps, given.lengths is None))
        steps = [num_steps for num_steps, _ in found]
        if len(set(steps)) > 1 and any(without for _, without in found):
            error = ArgumentError(
                f"the ranks have {steps} steps: give length= for as many on all of them, or "
                "lengths= on all for sequences that end before others"
            )
            self._ranks.agree(error)
        return max(steps)

    def _prepared(self, given: Arguments, num_steps: int) -> adjoint.Functional:
        """Return the functional, made anew if it was made for other arguments. Collective."""
        made = self._functional
        fits = (
            made is not None
            and self._stepper is not None
            and made.num_steps == num_steps
            and self._stepper.takes(given)
        )
        if made is not None and self._stepper is not None and all(self._ranks.gather(fits)):
            self._stepper.load(given)
            return made
        self._let_go()
        error = None
        try:
            self._stepper = self._new_stepper(given, num_steps)
        except AdjointError as refused:
            error = refused
        self._ranks.agree(error)
        assert self._stepper is not None
        self._functional = adjoint.Functional(self._stepper, num_steps, **self._options)
        return self._functional

    def _new_stepper(self, given: Arguments, num_steps: int) -> ScanStepper:
        forms = settled(self._model, given)
        if self._programs is None or self._programs.forms != forms:
            numbers = (self._argnums,) if isinstance(self._argnums, int) else self._argnums
            self._programs = LeafPrograms(self._model, forms, forms.wanted(numbers))
        return ScanStepper(self._programs, given, num_steps, self._leaf_steps)

    def _let_go(self) -> None:
        functional, self._functional, self._stepper = self._functional, None, None
        if functional is not None:
            functional.close()
