"""Unknowns, and where each lies: in the optimiser's vector, and in the ranks' controls.

An unknown has four forms. The optimiser sees *coordinates* x, a flat stretch of its vector; these
are affine coordinates of the *parameter* p; its transform makes of it the *control*; and of that
each rank holds its *part*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.functional import Functional
from adjoint.inverse.coordinates import Coordinates, identity
from adjoint.inverse.ensemble import Ensemble
from adjoint.inverse.inner_products import InnerProduct
from adjoint.inverse.terms import Term
from adjoint.inverse.transforms import Transform, inverse_of
from adjoint.parallel import Communicator, agree_on
from adjoint.steppers import Capabilities

__all__ = ["Unknown", "Variable", "variables_of"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Unknown:
    """A control that is sought, and how. The same on every rank, but for `order`.

    The *parameter* is what transform, prior, inner product and bounds refer to. Without a transform
    it is the control: in the control's shape if every rank holds all of it, and flat if it is
    distributed, in the order of `order`.
    """

    control: str
    """Name of the control."""
    transform: Transform | None = None
    """The control as a function of the parameter: `Log`, `Logit`, `Linear`, `Chain`, or one of your
    own with the same methods."""
    prior: Term | None = None
    """`Gaussian`, `BiLaplacian`, or any object with the methods of `Term`."""
    inner_product: Any = None
    """`Diagonal`, `Mass`, `Riesz` or a PETSc Mat; the last two only for TAO's methods."""
    bounds: tuple[Any, Any] | None = None
    """Least and largest parameter: numbers or arrays; None for either if there is none."""
    initial: Any = None
    """First parameter of the search: a number, or an array, whose shape is then the parameter's.
    None: the prior's mean if there is one, else that of the stepper's control as it is now."""
    order: Any = None
    """For a distributed control: the global indices of this rank's part, an integer array of the
    part's shape. Then the unknowns have the same order on any number of ranks. None: the ranks'
    parts one after the other."""
    whiten: bool = True
    """Whether the optimiser sees white coordinates of the prior, where it has some: then it
    converges as fast on fine meshes as on coarse ones."""


class Variable:
    """One unknown of an inversion, on one rank."""

    def __init__(self, unknown: Unknown, functional: Functional) -> None:
        """Find the parts of all ranks of the functional. Collective."""
        self.unknown, self.name = unknown, unknown.control
        self._functional, stepper = functional, functional.stepper
        part = stepper.controls[self.name]
        self._part_shape, self._dtype = part.shape, part.dtype
        self.distributed = self.name in Capabilities.of(stepper).distributed
        self._order = self._find_order(part) if self.distributed else None
        self.shape: tuple[int, ...] = (
            (sum(len(order) for order in self._order),) if self._order is not None else part.shape
        )
        """Of the whole control."""

    @property
    def _group(self) -> Communicator:
        """The ranks that hold the control together."""
        return self._functional.comm

    # -- parts of ranks ------------------------------------------------------------------------

    def _find_order(self, part: Any) -> list[Array]:
        """Return the global indices of every rank's part. Collective."""
        given = self.unknown.order
        if all(self._group.gather(given is None)):
            ends = np.cumsum([0, *self._group.gather(part.size)])
            return [np.arange(ends[i], ends[i + 1]) for i in range(len(ends) - 1)]
        orders = self._group.gather(np.asarray(given).ravel())
        every = np.concatenate(orders)
        sizes = self._group.gather(part.size)
        fits = [len(order) for order in orders] == sizes and every.dtype.kind in "iu"
        if not (fits and np.array_equal(np.sort(every), np.arange(len(every)))):
            raise ArgumentError(
                f"order of the unknown {self.name!r} must hold the global index of every entry of "
                f"each rank's part, each of 0 to {sum(sizes) - 1} on one rank only"
            )
        return orders

    def part(self, control: Array) -> Array:
        """Return this rank's part of the whole control."""
        if self._order is not None:
            control = control.ravel()[self._order[self._group.rank]]
        return control.reshape(self._part_shape).astype(self._dtype)

    def parts(self, controls: Array) -> Array:
        """Return this rank's part of each of k whole controls, ``(k, *shape)``."""
        return np.stack([self.part(control) for control in controls])

    def whole(self, part: Array) -> Array:
        """Return the whole of a control or a gradient, float64, on every rank. Collective."""
        own = np.asarray(part, np.float64)
        if self._order is None:
            return own
        found = np.empty(self.shape)
        for order, values in zip(self._order, self._group.gather(own.ravel()), strict=True):
            found[order] = values
        return found

    # -- parameter and control -----------------------------------------------------------------

    def settle(self, present: Array) -> None:
        """Decide on the parameter's shape and its first value. `present` is the whole control.

        Raises
        ------
        ArgumentError
            `initial` has a wrong shape or is not finite, and what `inverse_of` raises.
        """
        transform, given = self.unknown.transform, self.unknown.initial
        if given is not None and np.ndim(given):
            self.parameter_shape = np.shape(given)
        else:
            self.parameter_shape = self.shape
        self.size = int(np.prod(self.parameter_shape, dtype=int))
        if given is not None:
            first = np.broadcast_to(np.asarray(given, np.float64), self.parameter_shape)
            self.initial = first.reshape(-1)
        elif self._white is not None:
            self.initial = np.zeros(self.size) + self._white.offset
        else:
            parameter = present if transform is None else inverse_of(transform, present)
            self.parameter_shape = parameter.shape
            self.size = parameter.size
            self.initial = parameter.reshape(-1)
        if not np.isfinite(self.initial).all():
            raise ArgumentError(f"initial of the unknown {self.name!r} must be finite")
        control = self.control(self.initial)
        if control.shape != self.shape:
            raise ArgumentError(
                f"the transform of the unknown {self.name!r} gives a control of shape "
                f"{control.shape}; it must be {self.shape}"
            )

    def parameter(self, control: Array) -> Array:
        """Return the flat parameter of the whole control.

        Raises
        ------
        ArgumentError
            See `inverse_of`.
        """
        transform = self.unknown.transform
        return (control if transform is None else inverse_of(transform, control)).reshape(-1)

    def control(self, parameter: Array) -> Array:
        """Return the whole control of a flat parameter."""
        shaped = parameter.reshape(self.parameter_shape)
        transform = self.unknown.transform
        return shaped if transform is None else np.asarray(transform.apply(shaped))

    def control_direction(self, parameter: Array, direction: Array) -> Array:
        """Return the derivative of the control along a flat direction of the parameter."""
        transform, shape = self.unknown.transform, self.parameter_shape
        if transform is None:
            return direction.reshape(shape)
        return np.asarray(transform.jvp(parameter.reshape(shape), direction.reshape(shape)))

    def parameter_gradient(self, parameter: Array, gradient: Array) -> Array:
        """Return the flat gradient with respect to the parameter, given that of the control."""
        transform = self.unknown.transform
        if transform is None:
            return gradient.reshape(-1)
        return np.asarray(transform.vjp(parameter.reshape(self.parameter_shape), gradient)).ravel()

    def parameter_curvature(self, parameter: Array, direction: Array, gradient: Array) -> Array:
        """Return the second derivative of the transform, applied to a direction and a gradient."""
        transform, shape = self.unknown.transform, self.parameter_shape
        if transform is None:
            return np.zeros(self.size)
        bent = transform.curvature(parameter.reshape(shape), direction.reshape(shape), gradient)
        return np.asarray(bent).ravel()

    # -- coordinates and prior -----------------------------------------------------------------

    @property
    def is_white(self) -> bool:
        """Whether the optimiser sees white coordinates of the prior."""
        return self.unknown.whiten and self._white is not None

    @cached_property
    def coordinates(self) -> Coordinates:
        """The coordinates that the optimiser sees."""
        if self.unknown.whiten and self._white is not None:
            return self._white
        product = self.unknown.inner_product
        if hasattr(product, "coordinates"):
            return product.coordinates()
        return identity(self.size)

    @cached_property
    def _white(self) -> Coordinates | None:
        prior = self.unknown.prior
        return prior.white() if prior is not None and hasattr(prior, "white") else None  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def white(self) -> Coordinates:
        """The prior's white coordinates.

        Raises
        ------
        ArgumentError
            There is no prior that has them.
        """
        if self._white is None:
            raise ArgumentError(
                f"the unknown {self.name!r} needs a prior with white coordinates, such as Gaussian "
                "or BiLaplacian"
            )
        return self._white

    @property
    def unfactored_product(self) -> InnerProduct | None:
        """The inner product that only TAO can use, if that is what was given and counts."""
        product = self.unknown.inner_product
        return (
            None if product is None or self.is_white or hasattr(product, "coordinates") else product
        )

    def box(self) -> tuple[Array, Array] | None:
        """Return the bounds of the coordinates, flat, or None without bounds.

        Raises
        ------
        ArgumentError
            A box of the parameter is no box of the coordinates; or the bounds are out of order.
        """
        if self.unknown.bounds is None:
            return None
        scale = self.coordinates.scale
        if scale is None:
            raise ArgumentError(
                f"the unknown {self.name!r} has bounds, which are no box in the coordinates of its "
                "prior or inner product: use the transform Logit, or inner_product=Diagonal(…), or "
                "whiten=False, or a Riesz product with method='tao:blmvm'"
            )
        low, high = (
            np.broadcast_to(
                np.asarray(infinite if bound is None else bound, np.float64), self.parameter_shape
            ).ravel()
            for bound, infinite in zip(self.unknown.bounds, (-np.inf, np.inf), strict=True)
        )
        if not (low < high).all():
            raise ArgumentError(f"the lower bounds of {self.name!r} must be below the upper ones")
        return low / scale, high / scale


def variables_of(
    unknowns: Sequence[Unknown], functional: Functional | Ensemble, comm: Communicator
) -> dict[str, Variable]:
    """Return the variables by name. Collective on `comm`, all ranks of the functional.

    Raises
    ------
    ArgumentError
        On every rank: there is no unknown, no such control, one is named twice, or is complex; and
        what `Variable.settle` raises.
    """
    stepper = functional.stepper

    def checked() -> None:
        names = [unknown.control for unknown in unknowns]
        if not names:
            raise ArgumentError("an inversion needs at least one unknown")
        if len(set(names)) < len(names):
            raise ArgumentError(f"an unknown is named twice: {', '.join(names)}")
        controls: Mapping[str, Any] = stepper.controls
        for name in names:
            if name not in controls:
                raise ArgumentError(
                    f"there is no control {name!r}: the stepper has {', '.join(controls) or 'none'}"
                )
            if np.dtype(controls[name].dtype).kind != "f":
                raise ArgumentError(
                    f"the control {name!r} is of dtype {controls[name].dtype}: unknowns are real"
                )

    agree_on(checked, comm, catch=ArgumentError)
    of_group = functional.functional if isinstance(functional, Ensemble) else functional
    variables = [Variable(unknown, of_group) for unknown in unknowns]
    present = [v.whole(stepper.controls[v.name]) for v in variables]

    def settled() -> None:
        for variable, control in zip(variables, present, strict=True):
            variable.settle(control)

    agree_on(settled, comm, catch=ArgumentError)
    return {variable.name: variable for variable in variables}
