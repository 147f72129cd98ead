"""The equations that the integrators take: a right-hand side or a residual, and its derivatives.

A `RhsProblem` is ``M u' = f(t, u, m)`` with a constant mass matrix, by default the identity; a
`ResidualProblem` is ``F(t, u, u', m) = 0`` with ``dF/du'`` regular. Both are sets of callbacks on
PETSc's vectors and matrices, like those of a TS, of a DMDA, a DMPlex or your own; matrices may be
matrix-free. Compared with a TS, the callbacks also take the controls ``m``, and do not take the
solver.

*Derivatives* are products with a transpose, ``(df/dm)^T w``, except for the Jacobian ``df/du``,
which implicit methods need as a matrix for linear solvers. There is no fallback to finite
differences: Newton's method would converge to the same solution with them, but the adjoint *is* the
transposed Jacobian, and would have their error.

*The cost* is ``integral r(t, u, m) dt + sum c_i(u(t_i), m) + G(u(T), m)``: a running cost, costs at
observation times and a terminal cost. The integral is approximated by the integrator's quadrature,
which has the order of its steps.

Every stage of every implicit method is one equation for ``X``::

    F(t, X, s (X - Z), m) + affine = 0,        J = s dF/du' + dF/du

with a *shift* ``s`` and a *base* ``Z``, and ``F = M u' - f`` for a `RhsProblem`. The last methods
of both classes are this equation and its transposed derivatives, for the integrators only.
"""

# ruff: noqa: B027 (methods that need not be overridden do nothing)

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from adjoint.errors import StepperError
from adjoint.steppers import held_arrays

__all__ = ["Controls", "Gradient", "Mat", "Problem", "ResidualProblem", "RhsProblem", "Vec"]

Vec = Any
"""A ``petsc4py.PETSc.Vec``. This module does not import petsc4py."""

Mat = Any
"""A ``petsc4py.PETSc.Mat``."""

Controls = Mapping[str, Any]
"""The controls by name; of a control in `Problem.per_step`, the row of the current step."""

Gradient = Mapping[str, NDArray[Any]]
"""Arrays shaped like the controls. Callbacks add to them in place: ``gradient["x"][...] += …``."""


class Problem(ABC):
    """The base class of problems: vectors, controls, initial state and costs.

    Every method is collective on the template's communicator. Vectors belong to the integrator: a
    callback writes only to those that it says it writes to, and keeps no reference. Costs are this
    rank's part, and so are gradients of controls that are the same on all ranks: the driver sums
    them over ranks.

    Parameters
    ----------
    template
        A Vec with the layout of the state, such as ``dm.createGlobalVec()``.
    controls
        Arrays that the gradient is taken with respect to; kept, not copied.
    matrix
        The Jacobian's Mat. Explicit methods do not need it if `RhsProblem.rhs_state_vjp` is
        overridden.
    preconditioner
        The Mat that preconditioners are built from, if it is not `matrix`.
    dm
        The DM of the template, for preconditioners that need it, such as ``-pc_type mg``.

    Raises
    ------
    StepperError
        A cost is overridden but not its derivative.
    """

    distributed: Collection[str] = ()
    """Controls of which every rank holds its own part; others are the same on all ranks."""

    per_step: Collection[str] = ()
    """Controls whose first axis is the step."""

    constant_jacobian: bool = False
    """Whether the Jacobian depends only on controls that are constant in time, not on ``t``, ``u``
    or the step. It is then factored once per run and step size."""

    observation_times: Sequence[float] = ()
    """Times at which `observation_cost` is added, in increasing order; steps must end there."""

    def __init__(
        self,
        template: Vec,
        controls: Mapping[str, NDArray[Any]],
        *,
        matrix: Mat | None = None,
        preconditioner: Mat | None = None,
        dm: Any = None,
    ) -> None:
        self.template = template
        self.dm = dm
        self.controls: dict[str, NDArray[Any]] = dict(controls)
        self.matrix: Mat = matrix
        self.preconditioner: Mat = matrix if preconditioner is None else preconditioner
        for cost in ("running_cost", "observation_cost", "terminal_cost"):
            if self.has(cost) and not self.has(f"{cost}_vjp"):
                raise StepperError(f"{type(self).__name__} has a {cost} but no {cost}_vjp")

    # -- to be overridden by users ------------------------------------------------------------

    def prepare(self, m: Controls) -> None:
        """Update what depends on the controls, at the start of a run. By default does nothing."""

    @abstractmethod
    def initial_state(self, m: Controls, u: Vec) -> None:
        """Write the initial state to `u`."""

    def initial_state_vjp(self, m: Controls, adjoint: Vec, gradient: Gradient) -> None:
        """Add ``(du_0/dm)^T adjoint`` to `gradient`."""

    def running_cost(self, t: float, u: Vec, m: Controls) -> float:
        """Return ``r(t, u, m)``, this rank's part."""
        del t, u, m
        return 0.0

    def running_cost_vjp(
        self, t: float, u: Vec, m: Controls, weight: float, adjoint: Vec, gradient: Gradient
    ) -> None:
        """Add ``weight dr/du`` to `adjoint` and ``weight dr/dm`` to `gradient`."""

    def observation_cost(self, index: int, u: Vec, m: Controls) -> float:
        """Return the cost of the state at ``observation_times[index]``, this rank's part."""
        del index, u, m
        return 0.0

    def observation_cost_vjp(
        self, index: int, u: Vec, m: Controls, adjoint: Vec, gradient: Gradient
    ) -> None:
        """Add the derivatives of that cost to `adjoint` and `gradient`."""

    def terminal_cost(self, u: Vec, m: Controls) -> float:
        """Return ``G(u, m)``, this rank's part; `m` has whole controls, not rows."""
        del u, m
        return 0.0

    def terminal_cost_vjp(self, u: Vec, m: Controls, adjoint: Vec, gradient: Gradient) -> None:
        """Add ``dG/du`` to `adjoint` and ``dG/dm`` to `gradient`."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what the result depends on beside the controls, taken after `prepare`.

        By default every attribute that is an array, or a tuple, list or dict of arrays: a problem
        that holds data in another way, or work arrays, names its data here.
        """
        return {"problem": type(self).__name__, **held_arrays(self, leave_out=["controls"])}

    # -- the equation of a stage --------------------------------------------------------------

    def has(self, method: str) -> bool:
        """Return whether a method is overridden, outside this module."""
        written = getattr(type(self), method, None)
        return written is not None and written.__module__ != __name__

    @abstractmethod
    def slope(self, t: float, u: Vec, m: Controls, out: Vec) -> None:
        """Write ``-F(t, u, 0, m)`` to `out`."""

    @abstractmethod
    def slope_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        """Write ``-(dF/du)^T w`` at ``u' = 0`` to `out`."""

    @abstractmethod
    def slope_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        """Add ``-(dF/dm)^T w`` at ``u' = 0`` to `gradient`."""

    @abstractmethod
    def stage_residual(self, t: float, x: Vec, rate: Vec, m: Controls, out: Vec) -> None:
        """Write ``F(t, x, rate, m)`` to `out`."""

    @abstractmethod
    def stage_jacobian(
        self, t: float, x: Vec, rate: Vec, m: Controls, shift: float, jacobian: Mat, other: Mat
    ) -> None:
        """Assemble ``shift dF/du' + dF/du`` in `jacobian`, and in `other` if it is another Mat."""

    @abstractmethod
    def stage_base_vjp(
        self, t: float, x: Vec, rate: Vec, m: Controls, shift: float, w: Vec, right: Vec, out: Vec
    ) -> None:
        """Write ``shift (dF/du')^T w`` to `out`, given the right-hand side of ``J^T w = right``."""

    @abstractmethod
    def stage_control_vjp(
        self, t: float, x: Vec, rate: Vec, m: Controls, w: Vec, gradient: Gradient
    ) -> None:
        """Add ``-(dF/dm)^T w`` to `gradient`."""

    def require_matrix(self, what: str) -> None:
        """Raise `StepperError` if there is no Jacobian; `what` names the method that needs it."""
        method = "jacobian" if isinstance(self, ResidualProblem) else "rhs_jacobian"
        if self.matrix is None or not self.has(method):
            raise StepperError(
                f"{what} needs the Jacobian of {type(self).__name__}: pass matrix= (for example "
                f"dm.createMatrix()) and write {method}. Coloured finite differences would make "
                "every gradient wrong by their error"
            )


class RhsProblem(Problem):
    """``M u' = f(t, u, m)``.

    Parameters
    ----------
    template, controls, matrix, preconditioner, dm
        As for `Problem`.
    mass
        A constant Mat, whose nonzeros are a subset of the Jacobian's. None is the identity.
    """

    def __init__(
        self,
        template: Vec,
        controls: Mapping[str, NDArray[Any]],
        *,
        matrix: Mat | None = None,
        preconditioner: Mat | None = None,
        dm: Any = None,
        mass: Mat | None = None,
    ) -> None:
        super().__init__(template, controls, matrix=matrix, preconditioner=preconditioner, dm=dm)
        self.mass = mass

    @abstractmethod
    def rhs(self, t: float, u: Vec, m: Controls, f: Vec) -> None:
        """Write ``f(t, u, m)`` to `f`."""

    def rhs_jacobian(self, t: float, u: Vec, m: Controls, jacobian: Mat, other: Mat) -> None:
        """Assemble ``df/du`` in `jacobian`, and the preconditioner's matrix in `other`.

        The two are the same Mat unless a `preconditioner` was given. Their old entries are
        arbitrary.
        """
        del t, u, m, jacobian, other
        self.require_matrix("this method")

    def rhs_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        """Write ``(df/du)^T w`` to `out`; by default it assembles the Jacobian and multiplies."""
        self.rhs_jacobian(t, u, m, self.matrix, self.preconditioner)
        self.matrix.multTranspose(w, out)

    def rhs_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        """Add ``(df/dm)^T w`` to `gradient`."""

    # -- the equation of a stage --------------------------------------------------------------

    def slope(self, t: float, u: Vec, m: Controls, out: Vec) -> None:
        self.rhs(t, u, m, out)

    def slope_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        self.rhs_state_vjp(t, u, m, w, out)

    def slope_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        self.rhs_control_vjp(t, u, m, w, gradient)

    def stage_residual(self, t: float, x: Vec, rate: Vec, m: Controls, out: Vec) -> None:
        self.rhs(t, x, m, out)
        if self.mass is None:
            out.aypx(-1.0, rate)
        else:
            out.scale(-1.0)
            self.mass.multAdd(rate, out, out)

    def stage_jacobian(
        self, t: float, x: Vec, rate: Vec, m: Controls, shift: float, jacobian: Mat, other: Mat
    ) -> None:
        del rate
        self.rhs_jacobian(t, x, m, jacobian, other)
        for matrix in (jacobian,) if jacobian == other else (jacobian, other):
            self.add_mass(matrix, shift)

    def add_mass(self, matrix: Mat, shift: float) -> None:
        """Replace a matrix ``A`` by ``shift M - A``."""
        matrix.scale(-1.0)
        if self.mass is None:
            diagonal = self.template.duplicate()
            diagonal.set(shift)
            matrix.setDiagonal(
                diagonal, True
            )  # adds; MatShift took ten times as long in PETSc 3.18
        else:
            matrix.axpy(shift, self.mass, matrix.Structure.SUBSET_NONZERO_PATTERN)

    def stage_base_vjp(
        self, t: float, x: Vec, rate: Vec, m: Controls, shift: float, w: Vec, right: Vec, out: Vec
    ) -> None:
        del t, x, rate, m, right
        if self.mass is None:
            w.copy(out)
        else:
            self.mass.multTranspose(w, out)
        out.scale(shift)

    def stage_control_vjp(
        self, t: float, x: Vec, rate: Vec, m: Controls, w: Vec, gradient: Gradient
    ) -> None:
        del rate
        self.rhs_control_vjp(t, x, m, w, gradient)


class ResidualProblem(Problem):
    """``F(t, u, u', m) = 0``, with ``dF/du'`` regular.

    The Jacobian's Mat may be matrix-free: a Mat of type ``python`` with ``mult`` and
    ``multTranspose``, whose context `jacobian` updates with the point to linearise at.
    """

    @abstractmethod
    def residual(self, t: float, u: Vec, rate: Vec, m: Controls, f: Vec) -> None:
        """Write ``F(t, u, rate, m)`` to `f`; `rate` is ``u'``."""

    def jacobian(
        self, t: float, u: Vec, rate: Vec, m: Controls, shift: float, jacobian: Mat, other: Mat
    ) -> None:
        """Assemble ``shift dF/du' + dF/du``, as `RhsProblem.rhs_jacobian` does ``df/du``."""
        del t, u, rate, m, shift, jacobian, other
        self.require_matrix("this method")

    def residual_control_vjp(
        self, t: float, u: Vec, rate: Vec, m: Controls, w: Vec, gradient: Gradient
    ) -> None:
        """Add ``(dF/dm)^T w`` to `gradient`."""

    # -- the equation of a stage --------------------------------------------------------------

    def slope(self, t: float, u: Vec, m: Controls, out: Vec) -> None:
        self.residual(t, u, self._zero, m, out)
        out.scale(-1.0)

    def slope_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        self.jacobian(t, u, self._zero, m, 0.0, self.matrix, self.preconditioner)
        self.matrix.multTranspose(w, out)
        out.scale(-1.0)

    def slope_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        self.stage_control_vjp(t, u, self._zero, m, w, gradient)

    def stage_residual(self, t: float, x: Vec, rate: Vec, m: Controls, out: Vec) -> None:
        self.residual(t, x, rate, m, out)

    def stage_jacobian(
        self, t: float, x: Vec, rate: Vec, m: Controls, shift: float, jacobian: Mat, other: Mat
    ) -> None:
        self.jacobian(t, x, rate, m, shift, jacobian, other)

    def stage_base_vjp(
        self, t: float, x: Vec, rate: Vec, m: Controls, shift: float, w: Vec, right: Vec, out: Vec
    ) -> None:
        del shift
        # shift (dF/du')^T w = J^T w - (dF/du)^T w, whose first term is `right`.
        self.jacobian(t, x, rate, m, 0.0, self.matrix, self.preconditioner)
        self.matrix.multTranspose(w, out)
        out.aypx(-1.0, right)

    def stage_control_vjp(
        self, t: float, x: Vec, rate: Vec, m: Controls, w: Vec, gradient: Gradient
    ) -> None:
        w.scale(-1.0)
        self.residual_control_vjp(t, x, rate, m, w, gradient)
        w.scale(-1.0)

    @cached_property
    def _zero(self) -> Vec:
        zero = self.template.duplicate()
        zero.set(0.0)
        return zero
