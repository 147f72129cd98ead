"""The cost of a step: a form, and the misfits of its result."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from adjoint.errors import ArgumentError
from solvers.fenicsx.dofs import Array, Summed
from solvers.fenicsx.equation import Equation
from solvers.fenicsx.forms import depends_on
from solvers.fenicsx.operators import Value, sensitivity

__all__ = ["Misfit", "StepCost", "TerminalCost"]


class Misfit(Protocol):
    """What compares the state with data after some steps."""

    @property
    def steps(self) -> Sequence[int]:
        """The states that it looks at: state ``k`` is the one after ``k`` steps, from 1 on."""
        ...

    def value(self, k: int) -> float:
        """Return this rank's part of the cost of state `k`, which the unknown holds."""
        ...

    def add_gradient(self, k: int, out: Array) -> None:
        """Add its derivative to an array like that of the unknown, ghosts included."""
        ...


class StepCost:
    """The cost of a step ``k``, in terms of the unknown, state ``k + 1``, and the levels before it.

    Parameters
    ----------
    running
        The form, pinned, or None.
    misfits
        Compare states with data.
    equation
        Of the step.
    """

    def __init__(self, running: Any, misfits: Sequence[Misfit], equation: Equation) -> None:
        unknown, multiplier, data = equation.unknown, equation.multiplier, equation.data
        self._running = self._by_unknown = None
        self.uses = set[Any]()
        """What must be loaded for the value."""
        self.gradient_uses = set[Any]()
        """What must be loaded for the derivative by the unknown."""
        if running is not None:
            self._running = Value(running)
            self._by_unknown = sensitivity(unknown, None, running, multiplier, data)
            self.uses |= set(depends_on(running))
            if self._by_unknown is not None:
                self.gradient_uses |= self._by_unknown.uses
        self._misfits: dict[int, list[Misfit]] = {}
        for misfit in misfits:
            for k in misfit.steps:
                self._misfits.setdefault(int(k), []).append(misfit)
        if self._misfits:
            self.uses.add(unknown)
            self.gradient_uses.add(unknown)
        self._sum = Summed(unknown.function_space)

    def value(self, k: int) -> float:
        """Return this rank's part of the cost of step `k`."""
        cost = 0.0 if self._running is None else self._running.assemble()
        for misfit in self._misfits.get(k + 1, ()):
            cost += misfit.value(k + 1)
        return cost

    def add_gradient(self, k: int, w: Array) -> None:
        """Add the derivative by the unknown to its adjoint. Collective."""
        if self._by_unknown is not None:
            self._by_unknown.add(w)
        misfits = self._misfits.get(k + 1)
        if misfits:
            array = self._sum.cleared()
            for misfit in misfits:
                misfit.add_gradient(k + 1, array)
            w += self._sum.total()

    def add_curvature(self, k: int, tangent: Array, w: Array) -> None:
        """Add the curvature of the misfits, times a tangent, to that of the adjoint. Collective.

        `tangent` is an array like that of the unknown, ghosts included.
        """
        misfits: Any = self._misfits.get(k + 1)
        if misfits:
            array = self._sum.cleared()
            for misfit in misfits:
                misfit.add_curvature(k + 1, tangent, array)
            w += self._sum.total()

    def require_within(self, num_steps: int) -> None:
        """Raise `ArgumentError` if a misfit looks at a state after the last one."""
        late = sorted(k for k in self._misfits if k > num_steps)
        if late:
            raise ArgumentError(
                f"the run has {num_steps} steps, but misfits look at the states {late}: take more "
                "steps, or leave those out"
            )


class TerminalCost:
    """The cost of the end of a run, in terms of the unknown, the last state, and levels before it.

    Parameters
    ----------
    form
        The form, pinned, or None. It may depend on all levels but the oldest.
    equation
        Of the step.
    controls
        The Functions and Constants to differentiate by.
    """

    def __init__(self, form: Any, equation: Equation, controls: Mapping[str, Any]) -> None:
        self.uses = set[Any]() if form is None else set(depends_on(form))
        self._value = None if form is None else Value(form)
        functions = [equation.unknown, *equation.previous[:-1]]
        multiplier, data = equation.multiplier, equation.data
        self._by_levels = [sensitivity(f, None, form, multiplier, data) for f in functions]
        found = {name: sensitivity(x, None, form, multiplier, data) for name, x in controls.items()}
        self._by_controls = {name: each for name, each in found.items() if each is not None}
        self.controls = set(self._by_controls)
        """The names of the controls that it depends on."""

    def value(self) -> float:
        """Return this rank's part."""
        return 0.0 if self._value is None else self._value.assemble()

    def add_gradient(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        """Add the derivatives by the levels, newest first, and by the controls. Collective."""
        for part, adjoint in zip(self._by_levels, adjoints, strict=True):
            if part is not None:
                part.add(adjoint)
        for name, part in self._by_controls.items():
            part.add(gradient[name])
