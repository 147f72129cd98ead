"""An inverse problem: a cost as a function of one vector, its derivatives, and the search.

Rank 0 holds the optimiser's vector, and applies coordinates, transforms, priors and terms; all
ranks together evaluate the misfit, its gradient and its second derivatives (`Lead`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from adjoint.closing import Closing
from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.functional import Functional
from adjoint.inverse.ensemble import Ensemble
from adjoint.inverse.evaluation_log import EvaluationLog, Record, key_of
from adjoint.inverse.history import Evaluation, Found
from adjoint.inverse.lead import Lead
from adjoint.inverse.search import search
from adjoint.inverse.terms import Term
from adjoint.inverse.variables import Unknown, Variable, variables_of
from adjoint.parallel import agree_on

__all__ = ["Gradient", "Inversion"]

Array = NDArray[np.float64]
ByControl = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Gradient:
    """A cost with its gradient with respect to the optimiser's vector."""

    cost: float
    gradient: Array
    misfit: float
    terms: Mapping[str, float]
    norm: float
    """Of the gradient, in the unknowns' inner products."""


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
        self.comm = functional.comm
        self.progress = progress
        self.callback = callback
        self.history: list[Evaluation] = []
        """All evaluations so far, on every rank."""
        self._lead = Lead(self.comm, self._perform)
        self._log = log
        group = functional.group if isinstance(functional, Ensemble) else functional.comm
        with self.comm.failing():
            self._variables = variables_of(unknowns, functional.stepper, group)
            for variable in self._variables.values():
                present = variable.whole(functional.stepper.controls[variable.name])
                agree_on(
                    lambda v=variable, p=present: v.settle(p), self.comm, catch=ArgumentError
                )
            self._terms = agree_on(lambda: self._all_terms(terms), self.comm, catch=ArgumentError)
            self._places = self._find_places()
            self.weight = 1.0
            """Factor of all priors and terms; see `l_curve`."""
            self.initial: Array = self._lead.run(self._first)
            """The x of the unknowns' initial parameters."""
            if log is not None:
                self._open_log(log)

    # -- the vector ----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of entries of x."""
        return self.initial.size

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The unknowns by control."""
        return self._variables

    def pack(self, controls: Mapping[str, NDArray[Any]]) -> Array:
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
            parameters = {name: v.parameter(wholes[name]) for name, v in self._variables.items()}
            return self.x_of(parameters)

        return self._lead.run(packed)

    def unpack(self, x: Array) -> dict[str, NDArray[Any]]:
        """Return this rank's parts of the controls of x, by name."""
        wholes = self._lead.run(lambda: self._controls(self.parameters(self._checked(x))))
        return {name: v.part(wholes[name]) for name, v in self._variables.items()}

    def parameters(self, x: Array) -> ByControl:
        """Return the flat parameters of x, by control. Not collective."""
        return {
            name: v.coordinates.parameter(x[self._places[name]])
            for name, v in self._variables.items()
        }

    def x_of(self, parameters: Mapping[str, Array]) -> Array:
        """Return the x of flat parameters. Not collective."""
        pieces = [v.coordinates.of(parameters[name]) for name, v in self._variables.items()]
        return np.concatenate(pieces)

    # -- cost and derivatives ------------------------------------------------------------------

    def cost(self, x: Array) -> float:
        """Return misfit and terms at x, by stepping forward once. It is not logged."""

        def work() -> float:
            parameters = self.parameters(self._checked(x))
            misfit = self._lead.request(("cost", self._controls(parameters)))
            return misfit + sum(self._term_values(x, parameters).values())

        return self._lead.run(work)

    def cost_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return misfit and terms at x, and the gradient with respect to x.

        Raises
        ------
        NonFiniteError
            On every rank: they are not finite.
        """

        def work() -> tuple[float, Array]:
            found = self.gradient_at(self._checked(x))
            return found.cost, found.gradient

        return self.together(work)

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

        `like` is a vector whose layout the matrix has; None for PETSc's own. Its context has `x`,
        which may be set to another point.
        """
        from adjoint.inverse.hessian_mat import hessian_mat

        return hessian_mat(self, np.array(x, np.float64), gauss_newton, like)

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
        """Close the log."""
        if self._log is not None:
            self._log.close()

    # -- what searches and `laplace` ask for, on rank 0 ------------------------------------------------------

    def gradient_at(self, x: Array) -> Gradient:
        """Return cost and gradient at x. On rank 0, in `lead`.

        Raises
        ------
        NonFiniteError
            They are not finite.
        """
        began = time.perf_counter()
        parameters = self.parameters(x)
        controls = self._controls(parameters)
        record, replayed = self._evaluated("gradient", controls, {}, self._ask_for_gradient)
        found = None if record.values is None else self._combined(x, parameters, record.values)
        finite = found is not None and bool(np.isfinite(found.gradient).all())
        finite = finite and found is not None and bool(np.isfinite(found.cost))
        seconds = time.perf_counter() - began
        if found is None or not finite:
            self.history.append(Evaluation("gradient", seconds, replayed, finite=False))
            raise NonFiniteError("the cost of the inversion, or its gradient, is not finite at this x")
        self.history.append(
            Evaluation(
                "gradient",
                seconds,
                replayed,
                cost=found.cost,
                misfit=found.misfit,
                terms=found.terms,
                gradient_norm=found.norm,
            )
        )
        return found

    def products_at(self, x: Array, directions: Array, gauss_newton: bool) -> Array:
        """Return the second derivative at x times directions ``(size, k)``. On rank 0, in `lead`."""
        parameters = self.parameters(x)
        along = {
            name: v.coordinates.apply(directions[self._places[name]])
            for name, v in self._variables.items()
        }
        found = self.parameter_products(parameters, along, gauss_newton, with_priors=True)
        pieces: list[Array] = []
        for name, v in self._variables.items():
            piece = v.coordinates.transpose(found[name])
            own = self.weight * directions[self._places[name]]
            pieces.append(piece + own if v.is_white else piece)
        return np.concatenate(pieces)

    def parameter_products(
        self,
        parameters: ByControl,
        directions: ByControl,
        gauss_newton: bool,
        *,
        with_priors: bool = False,
    ) -> ByControl:
        """Return the second derivative of misfit and terms times directions of the parameters.

        Priors with white coordinates count only `with_priors`, and only if x is not in them. On
        rank 0, in `lead`. Raises NonFiniteError.
        """
        found = self._misfit_products(parameters, directions, gauss_newton)
        for name, v in self._variables.items():
            for term in self._terms[name]:
                if not with_priors and term is v.unknown.prior and hasattr(term, "white"):
                    continue
                columns = [
                    term.hessian_product(parameters[name], way) for way in directions[name].T
                ]
                found[name] = found[name] + self.weight * np.stack(columns, axis=1)
        return found

    def _misfit_products(
        self, parameters: ByControl, directions: ByControl, gauss_newton: bool
    ) -> ByControl:
        """Return the misfit's second derivative times directions ``(size, k)`` of the parameters."""
        began = time.perf_counter()
        controls = self._controls(parameters)
        along = {
            name: np.stack(
                [v.control_direction(parameters[name], way) for way in directions[name].T]
            )
            for name, v in self._variables.items()
        }
        kind = "Gauss-Newton" if gauss_newton else "Hessian"
        record, replayed = self._evaluated(kind, controls, along, self._ask_for_products)
        count = len(next(iter(along.values())))
        finite = record.values is not None and bool(np.isfinite(record.values).all())
        seconds = time.perf_counter() - began
        self.history.append(Evaluation(kind, seconds, replayed, finite, directions=count))
        if record.values is None or not finite:
            raise NonFiniteError("a product with the second derivative is not finite at this x")
        values, gradients = record.values, {}
        if not gauss_newton:
            gradients, values = self._split(values, ())
        products, _ = self._split(values, (count,))
        return {
            name: np.stack(
                [
                    self._parameter_product(v, parameters[name], way, product, gradients.get(name))
                    for way, product in zip(directions[name].T, products[name], strict=True)
                ],
                axis=1,
            )
            for name, v in self._variables.items()
        }

    @property
    def lead(self) -> Lead:
        """Rank 0's work, served by the others."""
        return self._lead

    def place(self, name: str) -> slice:
        """Return where the coordinates of an unknown lie in x."""
        return self._places[name]

    def together(self, work: Callable[[], Any]) -> Any:
        """Run `work` on rank 0; return its result, and leave the same history, on every rank."""
        known = len(self.history)

        def noted() -> Any:
            result = work()
            return result, self.history[known:]

        result, new = self._lead.run(noted)
        self.history[known:] = new
        return result

    def misfit_at(self, x: Array, cost: float) -> float:
        """Return the misfit at an x of known cost. On rank 0 only, or not collective."""
        return cost - sum(self._term_values(x, self.parameters(x)).values())

    def on_this_rank(self, found: Found) -> Found:
        """Set the controls to what was found, and complete `found` by this rank's. Collective."""
        controls = self.unpack(found.x)
        for name, value in controls.items():
            self.functional.stepper.controls[name][...] = value
        return replace(found, controls=controls, report=self.functional.report)

    # -- inside --------------------------------------------------------------------------------

    def _products(self, x: Array, directions: Array, gauss_newton: bool) -> Array:
        def work() -> Array:
            if directions.shape[0] != self.size:
                raise ArgumentError(
                    f"a direction has {directions.shape[0]} entries; x has {self.size}"
                )
            return self.products_at(self._checked(x), directions, gauss_newton)

        return self.together(work)

    def _combined(self, x: Array, parameters: ByControl, values: Array) -> Gradient:
        """Return the gradient with respect to x, given misfit and its gradient by controls."""
        misfit = float(values[0])
        gradients, _ = self._split(values[1:], ())
        terms = self._term_values(x, parameters)
        pieces: list[Array] = []
        squared = 0.0
        for name, v in self._variables.items():
            slope = v.parameter_gradient(parameters[name], gradients[name])
            for term in self._terms[name]:
                slope = slope + self.weight * term.gradient(parameters[name])
            piece = v.coordinates.transpose(slope)
            if v.is_white:
                piece = piece + self.weight * x[self._places[name]]
            product = v.unfactored_product
            dual = piece if product is None or not hasattr(product, "solve") else product.solve(piece)
            squared += float(piece @ dual)
            pieces.append(piece)
        cost = misfit + sum(terms.values())
        return Gradient(cost, np.concatenate(pieces), misfit, terms, float(np.sqrt(squared)))

    def _term_values(self, x: Array, parameters: ByControl) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, v in self._variables.items():
            if v.is_white:
                own = x[self._places[name]]
                values[f"prior of {name}"] = 0.5 * self.weight * float(own @ own)
            for number, term in enumerate(self._terms[name], start=1):
                label = f"{type(term).__name__} of {name}"
                label = label if label not in values else f"{label} ({number})"
                values[label] = self.weight * float(term.value(parameters[name]))
        return values

    def _all_terms(
        self, given: Mapping[str, Term | Sequence[Term]] | None
    ) -> dict[str, list[Term]]:
        """Return the terms of each unknown, but for priors that the coordinates make white."""
        given = given or {}
        for name in given:
            if name not in self._variables:
                raise ArgumentError(f"terms has {name!r}, which is not among the unknowns")
        found: dict[str, list[Term]] = {}
        for name, v in self._variables.items():
            own = given.get(name, ())
            terms = list(cast(Sequence[Term], own) if isinstance(own, Sequence) else [own])
            if v.unknown.prior is not None and not v.is_white:
                terms.insert(0, v.unknown.prior)
            for term in terms:
                for method in ("value", "gradient", "hessian_product"):
                    if not hasattr(term, method):
                        raise ArgumentError(f"{type(term).__name__} of {name!r} has no {method}()")
            found[name] = terms
        return found

    def _find_places(self) -> dict[str, slice]:
        places: dict[str, slice] = {}
        start = 0
        for name, v in self._variables.items():
            places[name] = slice(start, start + v.size)
            start += v.size
        return places

    def _first(self) -> Array:
        return self.x_of({name: v.initial for name, v in self._variables.items()})

    def _checked(self, x: Array) -> Array:
        x = np.asarray(x, np.float64)
        if x.shape != self.initial.shape:
            raise ArgumentError(f"x has shape {x.shape}; it must be {self.initial.shape}")
        return x

    def _controls(self, parameters: ByControl) -> ByControl:
        return {name: v.control(parameters[name]) for name, v in self._variables.items()}

    def _parameter_product(
        self, v: Variable, parameter: Array, way: Array, product: Array, gradient: Array | None
    ) -> Array:
        along = v.parameter_gradient(parameter, product)
        if gradient is None:
            return along
        return along + v.parameter_curvature(parameter, way, gradient)

    def _split(self, values: Array, leading: tuple[int, ...]) -> tuple[ByControl, Array]:
        """Cut arrays shaped as the controls, with leading axes, from the front of a flat array."""
        found: ByControl = {}
        for name, v in self._variables.items():
            shape = (*leading, *v.shape)
            size = int(np.prod(shape, dtype=int))
            found[name], values = values[:size].reshape(shape), values[size:]
        return found, values

    # -- evaluations, and the log ---------------------------------------------------------------

    def _evaluated(
        self,
        kind: str,
        controls: ByControl,
        directions: ByControl,
        ask: Callable[[str, ByControl, ByControl], Array],
    ) -> tuple[Record, bool]:
        """Return an evaluation, and whether the log had it."""
        key = key_of(*controls.values(), *directions.values())
        known = None if self._log is None else self._log.answer(kind, key)
        if known is not None:
            return known, True
        try:
            record = Record(kind, key, ask(kind, controls, directions))
        except NonFiniteError:
            record = Record(kind, key, None)
        if self._log is not None:
            self._log.add(record)
        return record, False

    def _ask_for_gradient(self, kind: str, controls: ByControl, directions: ByControl) -> Array:
        del kind, directions
        misfit, gradient = self._lead.request(("gradient", controls))
        return np.concatenate([[misfit], *(gradient[name].ravel() for name in self._variables)])

    def _ask_for_products(self, kind: str, controls: ByControl, directions: ByControl) -> Array:
        gradient, products = self._lead.request((kind, controls, directions))
        flat = [] if gradient is None else [gradient[name].ravel() for name in self._variables]
        return np.concatenate([*flat, *(products[name].ravel() for name in self._variables)])

    def _perform(self, message: tuple[Any, ...]) -> Any:
        """Evaluate on this rank what rank 0 asks for; return the whole of it. Collective."""
        kind, controls, *rest = message
        parts = {name: v.part(controls[name]) for name, v in self._variables.items()}
        if kind == "cost":
            return self.functional.value(parts)
        if kind == "gradient":
            misfit, gradient = self.functional.value_and_gradient(parts)
            return misfit, self._whole(gradient)
        directions = {name: v.parts(rest[0][name]) for name, v in self._variables.items()}
        found = self.functional.second_order(
            directions, parts, gauss_newton=kind == "Gauss-Newton"
        )
        slope = None if found.gradient is None else self._whole(found.gradient)
        products = {
            name: np.stack([v.whole(product) for product in found.products[name]])
            for name, v in self._variables.items()
        }
        return slope, products

    def _whole(self, gradient: Mapping[str, NDArray[Any]]) -> ByControl:
        return {name: v.whole(gradient[name]) for name, v in self._variables.items()}

    def _open_log(self, log: EvaluationLog) -> None:
        """Open the log on rank 0. Collective."""
        fingerprint = self.functional.fingerprint()
        header = {
            "unknowns": {name: list(v.shape) for name, v in self._variables.items()},
            "stepper": fingerprint,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        }
        self._lead.run(lambda: log.open(header))
