"""What a solver exposes: the `Stepper` protocol and its optional parts.

A stepper is a time-stepping computation ``u[k+1] = F[k](u[k], m)`` for ``k = 0 … n-1``, with
the cost ``J = sum of g[k](u[k], m) + G(u[n], m)``. A PDE solver and an unrolled recurrent
network are the same thing here: ``u`` is the field or the hidden state, ``m`` the *controls*:
coefficients, sources, weights, inputs. Reversing step ``k`` takes the adjoint state from
``k+1`` to ``k``::

    adjoint[k] = (dF[k]/du)^T adjoint[k+1] + dg[k]/du
    gradient  += (dF[k]/dm)^T adjoint[k+1] + dg[k]/dm

`Stepper` is for solvers that manage their own memory and tapes, or take several steps per call.
`adjoint.FunctionStepper` is for all others: from a step, its transposed derivative and a cost it
makes a stepper that copies no state without need.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

__all__ = ["Adopting", "Arrays", "Restorable", "Stepper", "copy_arrays", "state_bytes"]

Arrays = Mapping[str, NDArray[Any]]
"""Named arrays. The order of the names is part of the value."""


@runtime_checkable
class Stepper(Protocol):
    """A time-stepping computation that can be advanced, recorded and pulled back.

    Ranges of steps are half-open, ``[start, stop)``. All arrays are this rank's part, and
    C-contiguous. The driver makes the same calls on all ranks, so every call may be collective.

    Further attributes are optional (`adjoint.Capabilities` has their defaults):

    ``reproducible`` (bool, default True)
        `advance` is a function of state, step and controls alone, and ranges compose: one call
        over ``[0, 9)`` gives the same bits as ``[0, 4)`` and ``[4, 9)``. Then a gradient has the
        same bits under every schedule.
    ``reaches_stop`` (bool, default False)
        `record` computes the state at `stop` in any case, as automatic differentiation does. Then
        what it computes is compared with the first time in every leaf.
    ``needs_last_state`` (bool)
        Whether `record` must take the last step of a leaf for its tape. Default: that of
        `reaches_stop` if it is True, else found by timing a leaf.
    ``leaf_steps`` (int)
        Record and pull back on the grid ``0, leaf_steps, 2 leaf_steps, …`` only, under every
        schedule, because grouping steps differently changes round-off.
    ``leaf_sensitive`` (bool, default False)
        Grouping steps differently changes round-off, but leaves of any size will do. The driver
        then sets `leaf_steps`, which has a value before, to what suits memory and sizes. It does so
        before the first step, by no timing, and keeps it for all evaluations.
    ``tape_is_first_state`` (bool, default False)
        `record` takes no step whose end is not needed: the tape of a leaf is its first state, from
        which `pull_back` takes the steps again. No tape is kept then, since a state does as well.
    ``tape_bytes(steps, *, kept=False)`` (int)
        Memory of the tape of one `record` over `steps` steps, counted in the memory budget; with
        `kept`, of a tape that is kept while other steps are taken. Without that argument, it is the
        same. Default: one state per step.
    ``tape_memory`` (`Scratch`)
        Where the stepper takes the memory of its tapes: the driver lends it. Tapes that are states
        then come from the same memory as slots.
    ``tape_pieces(steps)``, ``release_tape(start, stop)``, ``restore_tape(start, stop, pieces)``
        For a stepper whose tapes consist of pieces taken from `tape_memory`, and nothing else that
        cannot be known from `start` and `stop`: then tapes may go to the file. `release_tape`
        returns the pieces of a tape recorded with `reach_stop`, in order, and forgets it;
        `restore_tape` makes pieces, others in general but with the same content, the tape again,
        maybe in another process. `tape_pieces` is their number for a leaf of `steps` steps, the
        same on all ranks. What pieces hold may be written to by `pull_back` only.
    ``distributed`` (collection of names)
        Controls of which every rank holds its own part. The others are replicated: every rank holds
        the same values, and the gradient is the sum over ranks.
    ``per_step`` (collection of names)
        Controls whose first axis is the step. A row of their gradient is final once its step is
        pulled back, and is written to the journal once. They may be memory maps or HDF5 datasets.
    ``position`` (int) and ``finished`` (bool)
        For a run whose end only the stepper knows: the step of the live state, and whether that is
        the end. Only then may `advance` stop early, at the same step on all ranks.
    ``accepted_steps`` (float64 array) and ``accept_steps(rows)``
        Time and length of every step accepted so far, shaped (steps, 2); a resumed run passes them
        to `accept_steps`. A step taken again has exactly the length that was accepted.
    ``first_non_finite`` (int or None)
        The first step whose cost is not finite, to be named in an error.
    ``fingerprint()`` (mapping from name to value, or bytes or str)
        What the result depends on beside the controls, taken after `start`: arrays are hashed,
        other values are compared by their `repr`. A run is resumed only if nothing in it has
        changed. Work arrays do not belong in it. Default: nothing; of a `FunctionStepper` every
        array that it holds.
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
        """The gradients accumulated so far, shaped as the controls. Writable, to resume a run."""
        ...

    def start(self) -> None:
        """Make the state ``u[0](controls)`` and the accumulators zero.

        Called after every change of the controls; there is no other notice of one.
        """
        ...

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Take the state from `start` to `stop`.

        Given a running total `cost`, add this rank's part of the cost of each step to it, one by
        one in order, and return the total, so that grouping steps differently changes no bit. Given
        None, compute no cost and return None. A total may be given again when steps are taken
        again, to be compared.
        """
        ...

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Do as `advance`, and keep the tape of ``[start, stop)``.

        Afterwards the state is ``u[stop]`` if `reach_stop`. Otherwise it is undefined, the next
        call is the `pull_back` of this tape, and the last step need not be taken (but its cost
        counts).
        Several tapes may be alive at once.
        """
        ...

    def turn(self, cost: float) -> float:
        """Return `cost` plus this rank's terminal cost; set the adjoint to its derivative.

        The state is ``u[n]``. A terminal cost that depends on the controls adds that derivative to
        the accumulators.
        """
        ...

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint from `stop` to `start`, consuming the tape of ``[start, stop)``.

        Adds to the accumulators. Afterwards the state is undefined.
        """
        ...

    def finish(self) -> None:
        """Fold the adjoint, now at step 0, into the accumulators of initial-state controls."""
        ...


@runtime_checkable
class Adopting(Protocol):
    """A stepper that computes in memory that it is given, so that keeping a state copies nothing.

    The live state stays in the memory that was adopted or given as `out` last; `advance` without
    `out` and `record` may overwrite it. Such memory has an array for every name of `Stepper.state`,
    of the same shape and dtype, C-contiguous. It belongs to the caller.
    """

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays, with their values, the live state."""
        ...

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Do as `Stepper.advance`. With `out`, leave the present state as it is, and end there."""
        ...


@runtime_checkable
class Restorable(Protocol):
    """A stepper that must be notified when its state was written from outside."""

    def restored(self, step: int) -> None:
        """Called after the arrays of `state` were filled with the state at `step`."""
        ...


def state_bytes(arrays: Arrays) -> int:
    """Return the size of all arrays together, in bytes."""
    return sum(array.nbytes for array in arrays.values())


def copy_arrays(source: Arrays, target: Arrays) -> None:
    """Copy every array of `target` from the one of the same name in `source`."""
    for name, array in target.items():
        array[...] = source[name]  # in small arrays twice as fast as np.copyto
