"""What the adjoint step of a TS reads besides the solution: the stages of the step before it.

``TSGetStages`` lends the vectors in which a TS keeps its stages; PETSc's own trajectories copy them
out after a step and back before its adjoint step, and so does `Stages`. petsc4py wraps neither that
function nor the vector of the rate ``u'``.

Of the stages a tape keeps those that no state on it is:

=====================================  =========================================================
``rk``                                 the first is the state before the step; a last one that is
                                       the first of the next step is not read
``beuler``, ``cn``, theta, endpoint    the states before and after the step
theta, one-leg                         the only one is neither
=====================================  =========================================================
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.petsc.library import INTEGER, POINTER, call
from solvers.petsc.ts.last_stage import FIRST_SAME_AS_LAST

__all__ = ["Stages", "cost_gradient"]

TS = Any
Vec = Any

NAME = "adjoint_lent_vector"

RESIDUAL = ctypes.CFUNCTYPE(
    ctypes.c_int, POINTER, ctypes.c_double, POINTER, POINTER, POINTER, POINTER
)
"""TSIFunctionFn: of TS, time, u, u', residual and context."""


class Stages:
    """The stages of the step that a TS has just taken. Construction is collective.

    Parameters
    ----------
    ts
        A TS that is set up; its solution is `u`.
    u
        The solution.
    """

    def __init__(self, ts: TS, u: Vec) -> None:
        vectors = [stage for stage in _lent_stages(ts) if stage.handle != u.handle]
        is_rk = ts.getType() == "rk"
        self._theta = 0.0 if is_rk else ts.getTheta()
        one_leg = not (is_rk or self._theta == 1 or ts.getThetaEndpoint())
        self._first = None if one_leg else vectors.pop(0)
        if is_rk and ts.getRKType() in FIRST_SAME_AS_LAST:
            del vectors[-1]
        self._rate = None if is_rk else _lent_rate(ts, u)
        self.has_rate = self._rate is not None
        """Whether the equation is given as a residual, of an implicit method."""
        self._kept = vectors
        self._end = vectors[0] if one_leg else u
        self.num_kept = len(vectors)
        """Vectors that a tape keeps of a step, besides the states."""

    def save(self, memory: Sequence[NDArray[Any]]) -> None:
        """Copy the stages that a tape keeps."""
        for array, stage in zip(memory, self._kept, strict=True):
            array[...] = stage.getArray(readonly=True)

    def load(self, size: float, before: NDArray[Any], memory: Sequence[NDArray[Any]]) -> None:
        """Give the TS the stages of a step back; its solution is the state after the step.

        Parameters
        ----------
        size
            The length of the step.
        before
            The state before it.
        memory
            What `save` has copied.
        """
        for array, stage in zip(memory, self._kept, strict=True):
            stage.setArray(array)
        if self._first is not None:
            self._first.setArray(before)
        if self._rate is not None:
            rate = self._rate.getArray()
            np.subtract(self._end.getArray(readonly=True), before, out=rate)
            rate /= self._theta * size


def cost_gradient(ts: TS) -> int | None:
    """Return the handle of the vector of the adjoint of a TS, which need not exist any more."""
    vectors = ctypes.POINTER(POINTER)()
    call("TSGetCostGradients", ts.handle, None, ctypes.byref(vectors), None)
    return vectors[0] if vectors else None


def _lent_stages(ts: TS) -> list[Vec]:
    count = INTEGER()
    vectors = ctypes.POINTER(POINTER)()
    call("TSGetStages", ts.handle, ctypes.byref(count), ctypes.byref(vectors))
    return [_lent(ts, vectors[i]) for i in range(count.value)]


def _lent_rate(ts: TS, u: Vec) -> Vec | None:
    """Return the vector of ``u'`` of a theta method; None if the equation is given by f(t, u).

    It is the one that the residual is called with.
    """
    function = POINTER()
    call("TSGetIFunction", ts.handle, None, ctypes.byref(function), None)
    if not function:
        return None
    found: list[Any] = []

    def note(ts_handle: int, time: float, at: int, rate: int, *rest: int) -> int:
        del ts_handle, time, at, rest
        found.append(rate)
        return 0

    noting = RESIDUAL(note)
    call("TSSetIFunction", ts.handle, None, noting, None)
    try:
        ts.getSNES().computeFunction(u, u.duplicate())
    finally:
        # Without a context, that of the user's function stays in its place.
        call("TSSetIFunction", ts.handle, None, function, None)
    return _lent(ts, found[0])


def _lent(ts: TS, handle: int | None) -> Vec:
    """Return a vector of PETSc's by its address, with a reference of its own."""
    call("PetscObjectCompose", ts.handle, NAME.encode(), POINTER(handle))
    vector = ts.query(NAME)
    ts.compose(NAME, None)
    return vector
