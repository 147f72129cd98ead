"""What a solver shows of itself: the `Stepper` protocol, and a base class that implements it.

A stepper is a time-stepping computation ``u[k+1] = F[k](u[k], m)`` for ``k = 0 … n-1``, with
the cost ``J = sum of g[k](u[k], m) + G(u[n], m)``. A PDE solver and an unrolled recurrent
network are the same thing here: ``u`` is the field or the hidden state, ``m`` the *controls*:
coefficients, sources, weights, inputs. Reversing step ``k`` takes the adjoint state from
``k+1`` to ``k``::

    adjoint[k] = (dF[k]/du)^T adjoint[k+1] + dg[k]/du
    gradient  += (dF[k]/dm)^T adjoint[k+1] + dg[k]/dm

`Stepper` is for solvers that want every liberty: their own memory, several steps a call,
their own tapes. `FunctionStepper` is for everybody else: write a step, its transposed
derivative and a cost, and it does the rest, without copying a state that need not be copied.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adopting", "Arrays", "Restorable", "Stepper", "copy_arrays", "state_bytes"]

Arrays = Mapping[str, NDArray[Any]]
"""Named arrays. The order of the names is part of the value."""


@runtime_checkable
class Stepper(Protocol):
    """A time-stepping computation that can be advanced, recorded and pulled back.

    Ranges of steps are half-open, ``[start, stop)``. All arrays are this rank's part, and
    C-contiguous. Every call is collective where the solver itself is; the driver makes the same
    calls on all ranks.

    More attributes are announced by their presence:

    ``reproducible`` (bool, default True)
        `advance` is a function of state, step and controls alone, and ranges compose: one call
        over ``[0, 9)`` gives the same bits as ``[0, 4)`` and ``[4, 9)``. Then a gradient has the
        same bits under every schedule.
    ``leaf_steps`` (int)
        Record and pull back on the grid ``0, leaf_steps, 2 leaf_steps, …`` only, under every
        schedule, because grouping steps differently changes round-off.
    ``tape_bytes(steps)`` (int)
        Memory that the tape of one `record` of so many steps takes. It is counted in the memory
        budget. Without it a tape is reckoned at one state a step.
    ``distributed`` (collection of names)
        The controls of which every rank holds its own part. The others are replicated: every
        rank holds the same values, and the gradient is the sum over ranks.
    ``per_step`` (collection of names)
        The controls whose first axis is the step. A row of their gradients is final once its step
        is pulled back: it goes to the journal once, and they may be memory maps or HDF5 datasets.
    ``position`` (int) and ``finished`` (bool)
        For a run whose end only the stepper knows: the step that the live state is at, and whether
        that is the end. Only then may `advance` stop early, and on all ranks at the same step.
    ``accepted_steps`` (float64 array) and ``accept_steps(rows)``
        Time and length of every step accepted so far, shaped (steps, 2); a resumed run gives them
        back. A step that was accepted is taken again with that very length.
    ``first_non_finite`` (int or None)
        The first step whose cost is not finite, for an error that names it.
    ``fingerprint()`` (bytes or str)
        What makes this problem this problem, beside the names, shapes and dtypes of its state.
    """

    @property
    def state(self) -> Arrays:
        """The live primal state. Read anew after every call, so buffers may be swapped."""
        ...

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint. A state name without one is replay data (random bits, the time, …)."""
        ...

    @property
    def controls(self) -> Arrays:
        """What the gradient is with respect to. An optimiser writes in place."""
        ...

    @property
    def accumulators(self) -> Arrays:
        """The gradients with respect to the controls as they grow, shaped as the controls."""
        ...

    def start(self) -> None:
        """Make the state ``u[0](controls)`` and the accumulators zero.

        It is also the only notice that the controls have changed.
        """
        ...

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Take the state from `start` to `stop`.

        Given a running total `cost`, add the cost of each step to it, one by one in order, and
        return the total: so that grouping steps differently changes no bit. With None no cost
        is wanted, and None is returned.
        """
        ...

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Do as `advance`, keeping the tape of ``[start, stop)``.

        The state is ``u[stop]`` afterwards if `reach_stop`; else it is undefined, the next call is
        the `pull_back` of this tape, and the last step need not be taken (its cost must).
        Several tapes may be alive at once.
        """
        ...

    def turn(self, cost: float) -> float:
        """Return `cost` plus the terminal cost; make the adjoint the terminal cost's derivative.

        The state is ``u[n]``. A terminal cost that depends on the controls adds its derivative to
        the accumulators.
        """
        ...

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint from `stop` to `start`, consuming the tape of ``[start, stop)``.

        Adds to the accumulators. The state is undefined afterwards.
        """
        ...

    def finish(self) -> None:
        """Fold the adjoint, now at step 0, into the accumulators of initial-state controls."""
        ...


@runtime_checkable
class Adopting(Protocol):
    """A stepper that computes in memory it is given, so that keeping a state copies nothing.

    The live state stays in the memory last adopted, or last given as `out`, until the next of
    either; `advance` without `out` and `record` may overwrite it. Such memory holds every state
    name, with the shapes and dtypes of `Stepper.state`, C-contiguous.
    """

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays, and what they hold, the live state."""
        ...

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Do as `Stepper.advance`; with `out`, leave the present state untouched and end there."""
        ...


@runtime_checkable
class Restorable(Protocol):
    """A stepper that must be told when its state was overwritten from outside."""

    def restored(self, step: int) -> None:
        """Note that the arrays of `state` have just been filled with the state at `step`."""
        ...


def state_bytes(arrays: Arrays) -> int:
    """Return the bytes that the arrays hold together."""
    return sum(array.nbytes for array in arrays.values())


def copy_arrays(source: Arrays, target: Arrays) -> None:
    """Copy every array of `target` from the one of the same name in `source`."""
    for name, array in target.items():
        np.copyto(array, source[name])
