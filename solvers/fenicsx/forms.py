"""UFL: forms with their quadrature pinned, their derivatives, and what these depend on.

Everything is derived from 0-forms. With a Function ``multiplier`` in the place of the test function
a residual is one, and `partial` of it by any Function is a 1-form in the space of that Function.
"""

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import ufl
from ufl import algorithms
from ufl.algorithms.analysis import extract_constants
from ufl.classes import Jacobian
from ufl.utils.sorting import canonicalize_metadata

__all__ = ["at_zero", "components", "depends_on", "partial", "pinned", "with_multiplier"]

Form = Any
"""A `ufl.Form`."""
Terminal = Any
"""A `dolfinx.fem.Function` or a `dolfinx.fem.Constant`."""

EVERYWHERE = ("everywhere", "otherwise")
"""What UFL calls the whole domain, before and after it has grouped integrals."""


def pinned(form: Form, degree: int | None = None) -> Form:
    """Return a form in which every integral states the rule of its quadrature.

    UFL estimates a degree for each form that is compiled, and the derivative of a form has another
    integrand: it would be integrated by another rule, and would not be the derivative of what is
    computed. Degrees that integrals state already are kept. The others get `degree`, or the one
    that DOLFINx would take for this form: the largest over all integrals on one subdomain. What is
    integrated at the points of a quadrature element keeps these points.
    """
    rules = _rules(form)
    integrals: list[Any] = []
    for integral in form.integrals():
        metadata = integral.metadata()
        for subdomain in _subdomains(integral.subdomain_id()):
            rule = rules[_place(integral, subdomain, metadata)]
            if degree is not None and "quadrature_degree" in rule:
                rule = {"quadrature_degree": degree}
            pin = {**metadata, **rule}
            integrals.append(integral.reconstruct(subdomain_id=subdomain, metadata=pin))
    return ufl.Form(integrals)


def with_multiplier(residual: Form, multiplier: Terminal) -> Form:
    """Return a residual with a Function in the place of its test function: a 0-form."""
    return ufl.replace(residual, {residual.arguments()[0]: multiplier})


def partial(form: Form, function: Terminal, argument: Any = None) -> Form | None:
    """Return the derivative of a form by a Function, expanded; None if it is zero."""
    return nonzero(ufl.derivative(form, function, argument))


def components(form: Form, constant: Terminal) -> list[Form | None]:
    """Return the derivative of a form by each component of a Constant; None where it is zero."""
    expanded = _expanded(form)
    found: list[Form | None] = []
    for index in np.ndindex(constant.ufl_shape):
        variable = ufl.variable(constant[index] if index else constant)
        entries = np.empty(constant.ufl_shape, object)
        for other in np.ndindex(constant.ufl_shape):
            entries[other] = variable if other == index else constant[other]
        mapping = {constant: ufl.as_tensor(entries.tolist()) if index else variable}
        integrals = [
            each.reconstruct(integrand=ufl.diff(ufl.replace(each.integrand(), mapping), variable))
            for each in expanded.integrals()
        ]
        found.append(nonzero(ufl.Form(integrals)))
    return found


def at_zero(form: Form, functions: Iterable[Terminal]) -> Form | None:
    """Return a form with zeros in the place of Functions; None if nothing is left."""
    return nonzero(ufl.replace(form, {f: ufl.zero(*f.ufl_shape) for f in functions}))


def nonzero(form: Form) -> Form | None:
    """Return a form with its derivatives expanded; None if it is zero."""
    expanded = _expanded(form)
    return None if expanded.empty() else expanded


def depends_on(form: Form) -> list[Terminal]:
    """Return the Functions and Constants in an expanded form."""
    return [*algorithms.extract_coefficients(form), *extract_constants(form)]


def _expanded(form: Form) -> Form:
    return algorithms.expand_derivatives(form)


def _rules(form: Form) -> dict[Any, dict[str, Any]]:
    """Return what DOLFINx would add to the metadata of integrals, by their place."""
    data = algorithms.compute_form_data(  # as the form compiler calls it
        form,
        do_apply_function_pullbacks=True,
        do_apply_integral_scaling=True,
        do_apply_geometry_lowering=True,
        preserve_geometry_types=(Jacobian,),
        do_apply_restrictions=True,
        do_append_everywhere_integrals=False,
        complex_mode=False,
    )
    rules: dict[Any, dict[str, Any]] = {}
    for group in data.integral_data:
        for integral in group.integrals:
            given = dict(integral.metadata())
            estimate = given.pop("estimated_polynomial_degree")
            rule: dict[str, Any] = {}
            if given.get("quadrature_degree", -1) < 0:
                rule = {"quadrature_degree": int(np.max(estimate))}
            for element in algorithms.extract_elements(integral):
                if element.has_custom_quadrature:
                    points, weights = element.custom_quadrature()
                    rule = {"quadrature_rule": "custom"}
                    rule |= {"quadrature_points": points, "quadrature_weights": weights}
            for subdomain in _subdomains(group.subdomain_id):
                rules[_place(integral, subdomain, given)] = rule
    return rules


def _place(integral: Any, subdomain: Any, metadata: dict[str, Any]) -> tuple[Any, ...]:
    """Return what integrals that DOLFINx adds up before it chooses a rule have in common."""
    where = EVERYWHERE[0] if subdomain in EVERYWHERE else subdomain
    return (
        integral.ufl_domain(),
        integral.integral_type(),
        where,
        canonicalize_metadata(metadata),
    )


def _subdomains(given: Any) -> tuple[Any, ...]:
    return (given,) if isinstance(given, (str, numbers.Integral)) else tuple(given)
