"""TAO's methods on an inversion: PETSc vectors, distributed over the ranks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.inverse.history import Found
from adjoint.inverse.petsc import PETSc
from adjoint.inverse.search import Barrier, EndedError, Steps

if TYPE_CHECKING:
    from adjoint.inverse.inversion import Inversion

__all__ = ["search_by_tao"]

Array = NDArray[np.float64]
PREFIX = "inverse_"
TOLERANCES = ("gatol", "grtol", "gttol")
"""Options that TAO takes by a call, by PETSc's names."""
SECOND_ORDER = ("nls", "ntr", "ntl", "bnls", "bntr", "bntl", "bqnkls", "bqnktr", "bqnktl", "asils")
UNPRECONDITIONED = ("nls", "ntr", "ntl")
"""Methods that would factor the Hessian by default: there is no matrix of numbers to factor."""
LEAST_SQUARES = ("brgn", "pounders")
QUASI_NEWTON = ("lmvm", "blmvm", "bqnls", "bqnkls", "bqnktr", "bqnktl")
"""Methods whose first Hessian can be set."""


def search_by_tao(
    inversion: "Inversion",
    method: str,
    initial: Array,
    max_iterations: int | None,
    gauss_newton: bool,
    options: Mapping[str, Any],
) -> Found:
    """Search by a method of TAO; see `Inversion.minimise`. Collective."""
    return _Search(inversion, method.removeprefix("tao:"), gauss_newton).run(
        initial, max_iterations, options
    )


class _Search:
    """One search: the TAO and its vectors."""

    def __init__(self, inversion: "Inversion", kind: str, gauss_newton: bool) -> None:
        if kind in LEAST_SQUARES:
            raise ArgumentError(
                f"tao:{kind} takes residuals, not a cost: for Gauss-Newton steps take "
                "'tao:bntr' or 'tao:nls' with gauss_newton=True"
            )
        self._inversion = inversion
        self._kind = kind
        self._gauss_newton = gauss_newton
        self._barrier = Barrier(inversion)
        self._steps: Steps | None = None
        self._ended = False
        self._failure: Exception | None = None
        self._comm = PETSc.COMM_SELF if inversion.comm.mpi is None else inversion.comm.mpi
        self._product = self._only_product()

    def run(self, initial: Array, max_iterations: int | None, options: Mapping[str, Any]) -> Found:
        """Search; collective."""
        inversion = self._inversion
        known = len(inversion.history)
        x = self._vector()
        self._fill(x, initial)
        tao = PETSc.TAO().create(self._comm)
        try:
            tao.setType(self._kind)
        except PETSc.Error:
            tao.destroy()
            raise ArgumentError(f"TAO has no method {self._kind!r}") from None
        tao.setObjectiveGradient(self._evaluate, x.duplicate())
        if self._kind in SECOND_ORDER:
            matrix = self._hessian()
            tao.setHessian(self._at, matrix, matrix)
            if self._kind in UNPRECONDITIONED:
                tao.getKSP().getPC().setType("none")
        self._bound(tao, x)
        self._measure(tao)
        self._set_options(tao, max_iterations, options)
        self._steps = Steps(inversion, self._barrier, max_iterations)
        tao.setMonitor(self._note)
        try:
            tao.solve(x)
        except PETSc.Error:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._steps.close()
        if self._failure is not None:
            raise self._failure
        return self._found(tao, x, known)

    def _found(self, tao: Any, x: Any, known: int) -> Found:
        inversion = self._inversion
        assert self._steps is not None
        end, cost = self._gathered(x), float(tao.getObjectiveValue())
        new = inversion.history[known:]
        reason = int(tao.getConvergedReason())
        word = "the callback ended the search" if self._ended else _reason(reason)
        return Found(
            x=end,
            controls={},
            cost=cost,
            misfit=inversion.lead.run(lambda: inversion.objective.misfit_at(end, cost)),
            success=reason > 0 and not self._ended,
            message=word,
            iterations=int(tao.getIterationNumber()),
            history=tuple(new),
            non_finite=self._barrier.non_finite,
            replayed=sum(each.replayed for each in new),
            report=None,
            tao=tao,
        )

    # -- callbacks, on every rank ---------------------------------------------------------------

    def _evaluate(self, tao: Any, x: Any, slope: Any) -> float:
        del tao
        here = self._gathered(x)
        try:
            cost, gradient = self._inversion.together(lambda: self._barrier(here))
        except Exception as failure:  # PETSc would put its own error in its place
            self._failure = failure
            raise
        self._fill(slope, gradient)
        return cost

    def _at(self, tao: Any, x: Any, matrix: Any, preconditioner: Any) -> None:
        del tao, preconditioner
        matrix.getPythonContext().move(self._gathered(x))

    def _note(self, tao: Any) -> None:
        if tao.getIterationNumber() == 0:
            return
        here = self._gathered(tao.getSolution())
        assert self._steps is not None
        steps = self._steps

        def told() -> bool:
            try:
                steps(here)
            except EndedError:
                return True
            return False

        try:
            self._ended = self._inversion.together(told)
        except Exception as failure:
            self._failure = failure
            raise
        if self._ended:
            tao.setConvergedReason(PETSc.TAO.Reason.CONVERGED_USER)

    # -- setting up -----------------------------------------------------------------------------

    def _only_product(self) -> Any:
        """Return the inner product without a factor; TAO takes one of the whole of x."""
        products = [v.unfactored_product for v in self._inversion.variables.values()]
        given = [product for product in products if product is not None]
        if given and len(products) > 1:
            raise ArgumentError(
                "an inner product without a factor is possible with a single unknown only"
            )
        return given[0] if given else None

    def _vector(self) -> Any:
        if hasattr(self._product, "createVecRight"):
            return self._product.createVecRight()
        return PETSc.Vec().createMPI(self._inversion.size, comm=self._comm)

    def _gathered(self, vector: Any) -> Array:
        own = np.array(vector.getArray(readonly=True), np.float64)
        return np.concatenate(self._inversion.comm.gather(own))

    @staticmethod
    def _fill(vector: Any, values: Array) -> None:
        start, stop = vector.getOwnershipRange()
        vector.setArray(values[start:stop])

    def _hessian(self) -> Any:
        return self._inversion.hessian_mat(
            self._inversion.initial, gauss_newton=self._gauss_newton, like=self._vector()
        )

    def _bound(self, tao: Any, x: Any) -> None:
        inversion = self._inversion
        boxes = {name: v.box() for name, v in inversion.variables.items()}
        if all(box is None for box in boxes.values()):
            return
        low, high = np.full(inversion.size, -np.inf), np.full(inversion.size, np.inf)
        for name, box in boxes.items():
            if box is not None:
                low[inversion.objective.places[name]], high[inversion.objective.places[name]] = box
        if not self._kind.startswith("b"):
            raise ArgumentError(
                f"tao:{self._kind} heeds no bounds: take 'tao:blmvm' or another one with b"
            )
        vectors = x.duplicate(), x.duplicate()
        for vector, values in zip(vectors, (low, high), strict=True):
            self._fill(vector, values)
        tao.setVariableBounds(vectors)

    def _measure(self, tao: Any) -> None:
        """Give TAO the inner product: as its first Hessian, and as the norm of gradients."""
        if self._product is None:
            return
        matrix, solve = self._product, None
        if not hasattr(matrix, "createVecRight"):
            matrix, solve = self._shell(self._product.apply), self._product.solve
        tao.setGradientNorm(matrix)
        if self._kind not in QUASI_NEWTON:
            return
        tao.setLMVMH0(matrix)
        solver = tao.getLMVMH0KSP()
        if solve is not None:
            solver.setType("preonly")
            preconditioner = solver.getPC()
            preconditioner.setType("python")
            preconditioner.setPythonContext(_Inverse(self, solve))
        else:
            solver.setType("cg")
            solver.setTolerances(rtol=1e-10, max_it=10_000)

    def _shell(self, apply: Any) -> Any:
        size = self._vector().getSizes()
        shell = PETSc.Mat().createPython((size, size), _Product(self, apply), comm=self._comm)
        shell.setUp()
        return shell

    def map(self, function: Any, source: Any, target: Any) -> None:
        """Write a function of the whole of a vector to another. Collective."""
        whole = self._gathered(source)
        self._fill(target, self._inversion.lead.run(lambda: np.asarray(function(whole))))

    def _set_options(
        self, tao: Any, max_iterations: int | None, options: Mapping[str, Any]
    ) -> None:
        tolerances = {name: options[name] for name in TOLERANCES if name in options}
        if tolerances:
            tao.setTolerances(**tolerances)
        if max_iterations is not None:
            tao.setMaximumIterations(max_iterations)
        tao.setOptionsPrefix(PREFIX)
        database = PETSc.Options(PREFIX)
        own = [name for name in options if name not in TOLERANCES]
        for name in own:
            database.setValue(name, options[name])
        tao.setFromOptions()
        for name in own:
            database.delValue(name)


class _Product:
    """The context of a PETSc matrix given by a function."""

    def __init__(self, search: _Search, apply: Any) -> None:
        self._search = search
        self._apply = apply

    def mult(self, matrix: Any, source: Any, target: Any) -> None:
        del matrix
        self._search.map(self._apply, source, target)


class _Inverse:
    """The context of a PETSc preconditioner given by a function."""

    def __init__(self, search: _Search, solve: Any) -> None:
        self._search = search
        self._solve = solve

    def apply(self, preconditioner: Any, source: Any, target: Any) -> None:
        del preconditioner
        self._search.map(self._solve, source, target)


def _reason(reason: int) -> str:
    """Return PETSc's word for why a TAO ended."""
    for name, value in vars(PETSc.TAO.Reason).items():
        if value == reason and not name.startswith("_"):
            return name
    return f"reason {reason}"
