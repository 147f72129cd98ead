"""An inverse problem: a cost as a function of one vector, its derivatives, and the search.

Rank 0 holds the optimiser's vector, and applies coordinates, transforms, priors and terms; all
ranks together evaluate the misfit, its gradient and its second derivatives (`Lead`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from adjoint.closing import Closing
from adjoint.errors import ArgumentError
from adjoint.functional import Functional
from adjoint.inverse.ensemble import Ensemble
from adjoint.inverse.evaluation_log import EvaluationLog
from adjoint.inverse.history import Evaluation, Found
from adjoint.inverse.misfit import Misfit
from adjoint.inverse.objective import Objective, terms_of
from adjoint.inverse.optional import with_petsc
from adjoint.inverse.search import search
from adjoint.inverse.terms import Term
from adjoint.inverse.variables import Unknown, Variable, variables_of
from adjoint.parallel import agree_on, communicator

__all__ = ["Inversion"]

Array = NDArray[np.float64]
T = TypeVar("T")


class Inversion(Closing):
    """A cost as a function of a vector x: a functional's misfit, priors and terms.

    x holds the coordinates of all unknowns, one after the other; see `Unknown`. Every method is
    collective on the functional's ranks, takes rank 0's arguments, and returns the same on every
    rank, unless it says otherwise. Transforms, terms and the callback are called on rank 0 alone.

    Parameters
    ----------
    functional
        The misfit: a `Functional`, or an `Ensemble` of them. It stays the caller's to close.
    unknowns
        The controls that are sought. The others keep the values that they have.
    terms
        Further terms by control: a term of its parameter, or several in a list.
    log
        Where evaluations are kept, so that a killed search goes on. Opened here, on rank 0, and
        closed by `close`.
    progress
        Whether a search shows a bar, on rank 0.
    callback
        Called on rank 0 after each iteration, as SciPy does, with `intermediate_result=`: an
        object with `x` and `fun`. If it raises StopIteration, the search ends there.

    Raises
    ------
    ArgumentError
        On every rank: an unknown does not fit the stepper, or the log is another search's.
    """

    def __init__(
        self,
        functional: Functional | Ensemble,
        unknowns: Sequence[Unknown],
        *,
        terms: Mapping[str, Term | Sequence[Term]] | None = None,
        log: EvaluationLog | None = None,
        progress: bool = False,
        callback: Callable[..., object] | None = None,
    ) -> None:
        self.functional = functional
        self.progress = progress
        self.callback = callback
        self._log = log
        self.comm = communicator(functional.comm.mpi)
        """All ranks, on a communicator of this object's own."""
        with self.comm.failing():
            self._variables = variables_of(unknowns, functional, self.comm)
            terms_by_name = agree_on(
                lambda: terms_of(self._variables, terms or {}), self.comm, catch=ArgumentError
            )
            misfit = Misfit(functional, self._variables, self.comm, log)
            self.lead = misfit.lead
            """Rank 0's work, which the other ranks serve."""
            self.objective = Objective(misfit, self._variables, terms_by_name)
            """Cost and derivatives, for work of rank 0."""
            first = {name: v.initial for name, v in self._variables.items()}
            self.initial: Array = self.lead.run(lambda: self.objective.x_of(first))
            """The x of the unknowns' initial parameters."""

    # -- the vector ----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of entries of x."""
        return self.initial.size

    @property
    def history(self) -> list[Evaluation]:
        """All evaluations so far, on every rank."""
        return self.objective.history

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The unknowns by control."""
        return self._variables

    def pack(self, controls: Mapping[str, ArrayLike]) -> Array:
        """Return the x of this rank's parts of all unknown controls.

        Raises
        ------
        ArgumentError
            A control is missing, or has no parameter: see the transforms' `inverse`.
        """
        missing = [name for name in self._variables if name not in controls]
        if missing:
            raise ArgumentError(f"pack takes every unknown control: {missing[0]!r} is missing")
        wholes = {name: v.whole(np.asarray(controls[name])) for name, v in self._variables.items()}

        def packed() -> Array:
            return self.objective.x_of(
                {name: v.parameter(wholes[name]) for name, v in self._variables.items()}
            )

        return self.lead.run(packed)

    def unpack(self, x: Array) -> dict[str, NDArray[Any]]:
        """Return this rank's parts of the controls of x, by name."""
        objective = self.objective
        wholes = self.lead.run(lambda: objective.controls(objective.parameters(self._checked(x))))
        return {name: v.part(wholes[name]) for name, v in self._variables.items()}

    # -- cost and derivatives ------------------------------------------------------------------

    def cost(self, x: Array) -> float:
        """Return misfit and terms at x, by stepping forward once. It is not logged."""
        return self.lead.run(lambda: self.objective.cost(self._checked(x)))

    def cost_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return misfit and terms at x, and the gradient with respect to x.

        Raises
        ------
        NonFiniteError
            On every rank: they are not finite.
        """
        found = self.together(lambda: self.objective.gradient(self._checked(x)))
        return found.cost, found.gradient

    def hessian_product(self, x: Array, direction: Array, *, gauss_newton: bool = False) -> Array:
        """Return the second derivative at x times a direction.

        With ``C`` the coordinates, ``T`` a transform, ``g`` the gradient of the misfit with respect
        to the control and ``H`` its second derivative, the misfit's part is
        ``C^T (T'^T H T' + (T'')^T g) C v``. `gauss_newton` leaves out the second derivatives of
        steps and transforms.
        """
        return self._products(x, np.asarray(direction)[:, None], gauss_newton)[:, 0]

    def hessian(self, x: Array, *, gauss_newton: bool = False) -> LinearOperator:
        """Return the second derivative at x as a SciPy operator, whose products are collective.

        `matmat` evaluates all columns in one call of `Functional.second_order`.
        """

        def times(vectors: Array) -> Array:
            return self._products(x, vectors.reshape(self.size, -1), gauss_newton)

        def one(vector: Array) -> Array:
            return times(vector)[:, 0]

        shape = (self.size, self.size)
        return LinearOperator(shape, one, rmatvec=one, matmat=times, dtype=np.float64)  # pyright: ignore[reportCallIssue]

    def hessian_mat(self, x: Array, *, gauss_newton: bool = False, like: Any = None) -> Any:
        """Return the second derivative at x as a PETSc shell matrix; needs petsc4py.

        `like` is a vector whose layout the matrix has; None for PETSc's own. Its context has
        ``move(x)``, to another point.
        """
        make = with_petsc("hessian_mat", "hessian_mat").hessian_mat
        return make(self, np.array(x, np.float64), gauss_newton, like)

    def minimise(
        self,
        method: str = "L-BFGS-B",
        *,
        initial: Array | None = None,
        max_iterations: int | None = None,
        gauss_newton: bool = False,
        **options: Any,
    ) -> Found:
        """Search a minimum of the cost.

        A cost that is not finite is shown to the method as one far higher than the last finite one,
        with that one's gradient reversed; every method here then steps back (`search.Barrier`).

        Parameters
        ----------
        method
            SciPy's name, such as ``"L-BFGS-B"``, ``"Newton-CG"`` or ``"trust-krylov"``; or
            ``"tao:"`` and TAO's, such as ``"tao:blmvm"`` or ``"tao:bntr"``.
        initial
            The first x; None for `initial`.
        max_iterations
            None for the method's own limit.
        gauss_newton
            Whether a method with second derivatives is given Gauss-Newton products: positive
            semidefinite, and cheaper.
        **options
            SciPy's options of the method. For TAO: its tolerances ``gatol``, ``grtol``, ``gttol``,
            and any PETSc option without its dash, such as ``tao_bnk_ksp_max_it=30``; from the
            command line they have the prefix ``-inverse_``.

        Raises
        ------
        ArgumentError
            On every rank: an unknown method; bounds or an inner product that it cannot use; TAO
            without petsc4py.
        NonFiniteError
            On every rank: the first cost is not finite, or 30 in a row are not.
        """
        first = self.initial if initial is None else np.asarray(initial, np.float64)
        return search(self, method, first, max_iterations, gauss_newton, options)

    def close(self) -> None:
        """Close the log, and give back the communicator. Collective."""
        if self._log is not None:
            self._log.close()
        self.comm.free()

    # -- inside, and for searches --------------------------------------------------------------

    def together(self, work: Callable[[], T]) -> T:
        """Run `work` on rank 0; return its result, and leave the same history, on every rank."""
        known = len(self.history)

        def noted() -> tuple[T, list[Evaluation]]:
            result = work()
            return result, self.history[known:]

        result, new = self.lead.run(noted)
        self.history[known:] = new
        return result

    def on_this_rank(self, found: Found) -> Found:
        """Set the controls to what was found, and complete `found` by this rank's. Collective."""
        controls = self.unpack(found.x)
        for name, value in controls.items():
            self.functional.stepper.controls[name][...] = value
        return replace(found, controls=controls, report=self.functional.report)

    def _products(self, x: Array, directions: Array, gauss_newton: bool) -> Array:
        def work() -> Array:
            if directions.shape[0] != self.size:
                raise ArgumentError(
                    f"a direction has {directions.shape[0]} entries; x has {self.size}"
                )
            return self.objective.products(self._checked(x), directions, gauss_newton=gauss_newton)

        return self.together(work)

    def _checked(self, x: Array) -> Array:
        x = np.asarray(x, np.float64)
        if x.shape != self.initial.shape:
            raise ArgumentError(f"x has shape {x.shape}; it must be {self.initial.shape}")
        return x
