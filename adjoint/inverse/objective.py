"""Misfit, priors and terms as a function of one vector, with two derivatives.

Everything here runs on rank 0, within `Lead.run`; the misfit lets all ranks evaluate.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.inverse.history import Evaluation
from adjoint.inverse.misfit import ByControl, Misfit
from adjoint.inverse.terms import Term
from adjoint.inverse.variables import Variable

__all__ = ["Gradient", "Objective", "terms_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gradient:
    """A cost with its gradient with respect to the optimiser's vector."""

    cost: float
    gradient: Array
    misfit: float
    terms: Mapping[str, float]
    norm: float
    """Of the gradient, in the unknowns' inner products."""


class Objective:
    """The cost as a function of x, which holds the coordinates of all unknowns.

    Parameters
    ----------
    misfit
        What depends on the controls.
    variables
        The unknowns by control.
    terms
        The terms of each unknown's parameter, but for priors whose white coordinates are in x.
    """

    def __init__(
        self,
        misfit: Misfit,
        variables: Mapping[str, Variable],
        terms: Mapping[str, Sequence[Term]],
    ) -> None:
        self.misfit, self.variables, self._terms = misfit, variables, terms
        self.weight = 1.0
        """Factor of all priors and terms; see `l_curve`."""
        self.history: list[Evaluation] = []
        """All evaluations so far."""
        ends = np.cumsum([0, *(v.size for v in variables.values())])
        self.places = {
            name: slice(int(ends[k]), int(ends[k + 1])) for k, name in enumerate(variables)
        }
        """Where the coordinates of each unknown lie in x."""

    # -- the vector -----------------------------------------------------------------------------

    def parameters(self, x: Array) -> ByControl:
        """Return the flat parameters of x, by control."""
        return {
            name: v.coordinates.parameter(x[self.places[name]])
            for name, v in self.variables.items()
        }

    def x_of(self, parameters: Mapping[str, Array]) -> Array:
        """Return the x of flat parameters."""
        pieces = [v.coordinates.of(parameters[name]) for name, v in self.variables.items()]
        return np.concatenate(pieces)

    def controls(self, parameters: ByControl) -> ByControl:
        """Return the whole controls of flat parameters."""
        return {name: v.control(parameters[name]) for name, v in self.variables.items()}

    # -- values and derivatives -----------------------------------------------------------------

    def cost(self, x: Array) -> float:
        """Return the cost, by stepping forward once."""
        parameters = self.parameters(x)
        misfit = self.misfit.value(self.controls(parameters))
        return misfit + sum(self._term_values(x, parameters).values())

    def misfit_at(self, x: Array, cost: float) -> float:
        """Return the misfit at an x of known cost."""
        return cost - sum(self._term_values(x, self.parameters(x)).values())

    def gradient(self, x: Array) -> Gradient:
        """Return cost and gradient at x.

        Raises
        ------
        NonFiniteError
            They are not finite.
        """
        began, parameters = time.perf_counter(), self.parameters(x)
        slope = self.misfit.slope(self.controls(parameters))
        found = None if slope is None else self._combined(x, parameters, *slope)
        seconds, replayed = time.perf_counter() - began, self.misfit.replayed
        if found is None or not (np.isfinite(found.cost) and np.isfinite(found.norm)):
            self.history.append(Evaluation("gradient", seconds, replayed, finite=False))
            raise NonFiniteError(
                "the cost of the inversion, or its gradient, is not finite at this x"
            )
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

    def products(self, x: Array, directions: Array, *, gauss_newton: bool) -> Array:
        """Return the second derivative at x times directions ``(size, k)``.

        Raises
        ------
        NonFiniteError
            They are not finite.
        """
        along = {
            name: v.coordinates.apply(directions[self.places[name]])
            for name, v in self.variables.items()
        }
        found = self.parameter_products(self.parameters(x), along, gauss_newton, self._terms)
        pieces: list[Array] = []
        for name, v in self.variables.items():
            piece = v.coordinates.transpose(found[name])
            own = self.weight * directions[self.places[name]]
            pieces.append(piece + own if v.is_white else piece)
        return np.concatenate(pieces)

    def data_products(
        self, parameters: ByControl, directions: ByControl, *, gauss_newton: bool
    ) -> ByControl:
        """Return the second derivative of all but priors with white coordinates.

        `directions` are of the parameters, ``(size, k)``. Raises `NonFiniteError` as `products`.
        """
        terms = {
            name: [t for t in each if t is not self.variables[name].unknown.prior]
            for name, each in self._terms.items()
        }
        return self.parameter_products(parameters, directions, gauss_newton, terms)

    def parameter_products(
        self,
        parameters: ByControl,
        directions: ByControl,
        gauss_newton: bool,
        terms: Mapping[str, Sequence[Term]],
    ) -> ByControl:
        """Return the second derivative of misfit and some terms times directions ``(size, k)``."""
        began = time.perf_counter()
        along = {
            name: np.stack([v.control_direction(parameters[name], d) for d in directions[name].T])
            for name, v in self.variables.items()
        }
        kind = "Gauss-Newton" if gauss_newton else "Hessian"
        found = self.misfit.products(kind, self.controls(parameters), along)
        products: ByControl = {}
        if found is not None:
            products = {
                name: np.stack(
                    [
                        self._column(name, parameters[name], way, product, terms[name], found[1])
                        for way, product in zip(directions[name].T, found[0][name], strict=True)
                    ],
                    axis=1,
                )
                for name in self.variables
            }
        finite = found is not None and all(np.isfinite(p).all() for p in products.values())
        seconds, replayed = time.perf_counter() - began, self.misfit.replayed
        count = len(next(iter(along.values())))
        self.history.append(Evaluation(kind, seconds, replayed, finite, directions=count))
        if not finite:
            raise NonFiniteError("a product with the second derivative is not finite at this x")
        return products

    def _column(
        self,
        name: str,
        parameter: Array,
        way: Array,
        product: Array,
        terms: Sequence[Term],
        gradient: ByControl | None,
    ) -> Array:
        """Return a product with a direction of one parameter, given that with the control's."""
        v = self.variables[name]
        column = v.parameter_gradient(parameter, product)
        if gradient is not None:
            column = column + v.parameter_curvature(parameter, way, gradient[name])
        for term in terms:
            column = column + self.weight * term.hessian_product(parameter, way)
        return column

    def _combined(
        self, x: Array, parameters: ByControl, misfit: float, gradient: ByControl
    ) -> Gradient:
        terms = self._term_values(x, parameters)
        pieces: list[Array] = []
        squared = 0.0
        for name, v in self.variables.items():
            slope = v.parameter_gradient(parameters[name], gradient[name])
            for term in self._terms[name]:
                slope = slope + self.weight * term.gradient(parameters[name])
            piece = v.coordinates.transpose(slope)
            if v.is_white:
                piece = piece + self.weight * x[self.places[name]]
            product = v.unfactored_product
            dual = (
                piece if product is None or not hasattr(product, "solve") else product.solve(piece)
            )
            squared += float(piece @ dual)
            pieces.append(piece)
        norm = float(np.sqrt(squared))
        return Gradient(misfit + sum(terms.values()), np.concatenate(pieces), misfit, terms, norm)

    def _term_values(self, x: Array, parameters: ByControl) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, v in self.variables.items():
            if v.is_white:
                own = x[self.places[name]]
                values[f"prior of {name}"] = 0.5 * self.weight * float(own @ own)
            for number, term in enumerate(self._terms[name], start=1):
                label = f"{type(term).__name__} of {name}"
                label = label if label not in values else f"{label} ({number})"
                values[label] = self.weight * float(term.value(parameters[name]))
        return values


def terms_of(
    variables: Mapping[str, Variable], given: Mapping[str, Term | Sequence[Term]]
) -> dict[str, list[Term]]:
    """Return the terms of each unknown, but for priors whose white coordinates are in x.

    Raises
    ------
    ArgumentError
        A term is of no unknown, or lacks a method.
    """
    for name in given:
        if name not in variables:
            raise ArgumentError(f"terms has {name!r}, which is not among the unknowns")
    found: dict[str, list[Term]] = {}
    for name, v in variables.items():
        own = given.get(name, ())
        terms = list(own) if isinstance(own, Sequence) else [own]
        if v.unknown.prior is not None and not v.is_white:
            terms.insert(0, v.unknown.prior)
        for term in terms:
            for method in ("value", "gradient", "hessian_product"):
                if not hasattr(term, method):
                    raise ArgumentError(f"{type(term).__name__} of {name!r} has no {method}()")
        found[name] = terms
    return found
