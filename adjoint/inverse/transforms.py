"""Transforms: a control as a function of the parameter that is sought.

A transform maps arrays of the parameter to arrays of the control, and has the three derivatives
that an inverse problem needs. With ``T`` the transform, ``v`` a direction and ``g`` a gradient with
respect to the control:

    jvp        T'(p) v
    vjp        T'(p)^T g
    curvature  (T''(p) v)^T g
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["Chain", "Linear", "Log", "Logit", "Transform"]

Array = NDArray[Any]


class Transform(Protocol):
    """What `Unknown` takes as a transform. Arguments are never written to."""

    def apply(self, parameter: Array, /) -> Array:
        """Return the control of a parameter."""
        ...

    def jvp(self, parameter: Array, direction: Array) -> Array:
        """Return the derivative of the control along a direction of the parameter."""
        ...

    def vjp(self, parameter: Array, gradient: Array) -> Array:
        """Return the gradient with respect to the parameter, given that of the control."""
        ...

    def curvature(self, parameter: Array, direction: Array, gradient: Array) -> Array:
        """Return the change of `vjp` along a direction of the parameter, the gradient fixed."""
        ...


class _Pointwise:
    """A transform of each number by itself."""

    def apply(self, parameter: Array, /) -> Array:
        """Return the control of a parameter."""
        raise NotImplementedError

    def slope(self, parameter: Array) -> Array:
        """Return the derivative of each number of the control."""
        raise NotImplementedError

    def bend(self, parameter: Array) -> Array:
        """Return the second derivative of each number of the control."""
        raise NotImplementedError

    def jvp(self, parameter: Array, direction: Array) -> Array:
        """Return the derivative along a direction."""
        return self.slope(parameter) * direction

    def vjp(self, parameter: Array, gradient: Array) -> Array:
        """Return the gradient with respect to the parameter."""
        return self.slope(parameter) * gradient

    def curvature(self, parameter: Array, direction: Array, gradient: Array) -> Array:
        """Return the change of the gradient along a direction."""
        return self.bend(parameter) * direction * gradient


@dataclass(frozen=True)
class Log(_Pointwise):
    """The parameter is the logarithm of a positive control."""

    def apply(self, parameter: Array, /) -> Array:
        """Return the control: ``exp(p)``, infinite where that overflows."""
        with np.errstate(over="ignore"):  # a search may try any parameter
            return np.exp(parameter)

    def inverse(self, control: Array) -> Array:
        """Return the parameter of a control.

        Raises
        ------
        ArgumentError
            The control is not positive.
        """
        if not (control > 0).all():
            raise ArgumentError(
                f"Log() takes a positive control: its least value is {control.min()}"
            )
        return np.log(control)

    def slope(self, parameter: Array) -> Array:
        """Return the derivative of each number of the control."""
        return self.apply(parameter)

    def bend(self, parameter: Array) -> Array:
        """Return the second derivative of each number of the control."""
        return self.apply(parameter)


@dataclass(frozen=True)
class Logit(_Pointwise):
    """The parameter is the logit of a control between two bounds, numbers or arrays.

    ``control = lower + (upper - lower) / (1 + exp(-p))``
    """

    lower: Any
    upper: Any

    def __post_init__(self) -> None:
        low, high = np.asarray(self.lower), np.asarray(self.upper)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
            raise ArgumentError(
                f"Logit takes a finite lower bound below a finite upper one, not {low} and {high}"
            )

    def apply(self, parameter: Array, /) -> Array:
        """Return the control of a parameter."""
        return self.lower + self._width() * self._share(parameter)

    def inverse(self, control: Array) -> Array:
        """Return the parameter of a control.

        Raises
        ------
        ArgumentError
            The control is not strictly between the bounds.
        """
        share = (control - self.lower) / self._width()
        if not ((share > 0) & (share < 1)).all():
            raise ArgumentError("Logit takes a control strictly between its bounds")
        return np.log(share) - np.log1p(-share)

    def slope(self, parameter: Array) -> Array:
        """Return the derivative of each number of the control."""
        share = self._share(parameter)
        return self._width() * share * (1 - share)

    def bend(self, parameter: Array) -> Array:
        """Return the second derivative of each number of the control."""
        share = self._share(parameter)
        return self._width() * share * (1 - share) * (1 - 2 * share)

    def _width(self) -> Any:
        return np.asarray(self.upper) - np.asarray(self.lower)

    @staticmethod
    def _share(parameter: Array) -> Array:
        return 0.5 * (1 + np.tanh(0.5 * parameter))


@dataclass(frozen=True)
class Linear:
    """A linear transform: a smoothing, an interpolation, a basis.

    The parameter may have another shape than the control; it is that of `Unknown.initial`.
    """

    apply: Callable[[Array], Array]
    """Returns the control of a parameter."""
    transpose: Callable[[Array], Array]
    """Returns the transpose applied to an array of the control's shape."""
    inverse: Callable[[Array], Array] | None = None
    """Returns the parameter of a control, if there is an inverse."""

    def jvp(self, parameter: Array, direction: Array) -> Array:
        """Return the derivative along a direction."""
        del parameter
        return self.apply(direction)

    def vjp(self, parameter: Array, gradient: Array) -> Array:
        """Return the gradient with respect to the parameter."""
        del parameter
        return self.transpose(gradient)

    def curvature(self, parameter: Array, direction: Array, gradient: Array) -> Array:
        """Return zeros."""
        del parameter, gradient
        return np.zeros_like(direction)


@dataclass(frozen=True, init=False)
class Chain:
    """Transforms one after the other: ``Chain(smooth, Log())`` is exp of a smooth field.

    Parameters
    ----------
    *transforms
        In the order in which they are applied to the parameter.
    """

    transforms: tuple[Transform, ...]

    def __init__(self, *transforms: Transform) -> None:
        object.__setattr__(self, "transforms", transforms)

    def apply(self, parameter: Array, /) -> Array:
        """Return the control of a parameter."""
        for transform in self.transforms:
            parameter = transform.apply(parameter)
        return parameter

    def inverse(self, control: Array) -> Array:
        """Return the parameter of a control.

        Raises
        ------
        ArgumentError
            One of the transforms has no inverse there.
        """
        for transform in reversed(self.transforms):
            control = inverse_of(transform, control)
        return control

    def jvp(self, parameter: Array, direction: Array) -> Array:
        """Return the derivative along a direction."""
        for transform in self.transforms:
            direction = transform.jvp(parameter, direction)
            parameter = transform.apply(parameter)
        return direction

    def vjp(self, parameter: Array, gradient: Array) -> Array:
        """Return the gradient with respect to the parameter."""
        for transform, at in reversed(self._stages(parameter)):
            gradient = transform.vjp(at, gradient)
        return gradient

    def curvature(self, parameter: Array, direction: Array, gradient: Array) -> Array:
        """Return the change of the gradient along a direction.

        By the chain rule, backwards through the transforms: with ``a`` the gradient behind a
        transform and ``b`` its change, ``b <- T'^T b + (T'' v)^T a`` and ``a <- T'^T a``.
        """
        stages, directions = self._stages(parameter), [direction]
        for transform, at in stages[:-1]:
            directions.append(transform.jvp(at, directions[-1]))
        change: Array | None = None
        for (transform, at), along in zip(reversed(stages), reversed(directions), strict=True):
            bent = transform.curvature(at, along, gradient)
            change = bent if change is None else transform.vjp(at, change) + bent
            gradient = transform.vjp(at, gradient)
        assert change is not None
        return change

    def _stages(self, parameter: Array) -> list[tuple[Transform, Array]]:
        """Return each transform with what it is applied to."""
        stages: list[tuple[Transform, Array]] = []
        for transform in self.transforms:
            stages.append((transform, parameter))
            parameter = transform.apply(parameter)
        return stages


def inverse_of(transform: Transform, control: Array) -> Array:
    """Return the parameter of a control.

    Raises
    ------
    ArgumentError
        The transform has no inverse, or the control is outside its range.
    """
    inverse = getattr(transform, "inverse", None)
    if inverse is None:
        raise ArgumentError(
            f"{type(transform).__name__} has no inverse, so no parameter belongs to the present "
            "control: give the unknown its initial="
        )
    return inverse(control)
