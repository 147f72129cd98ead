"""One step of a `FormStepper`: its equation and cost, their transpose, and what it depends on."""

from collections.abc import Callable, Sequence
from typing import Any

import ufl

from adjoint.errors import StepperError
from solvers.fenicsx.boundary import Boundary
from solvers.fenicsx.checks import Given, check_enters
from solvers.fenicsx.controls import Controls
from solvers.fenicsx.costs import StepCost, TerminalCost
from solvers.fenicsx.data import Data
from solvers.fenicsx.dofs import Array, load
from solvers.fenicsx.equation import equation
from solvers.fenicsx.forms import pinned
from solvers.fenicsx.initial import FromFunctions, FromValues, InitialEquation, InitialState
from solvers.fenicsx.transpose import Transpose

__all__ = ["Step"]


class Step:
    """Everything that is derived from the arguments of a `FormStepper`, and compiled.

    All methods are collective.

    Parameters
    ----------
    given
        The arguments, checked.
    before_step, prefix, degree
        Sets data of a step; of PETSc's options; of integrals that state none.
    """

    def __init__(
        self,
        given: Given,
        before_step: Callable[[int], object] | None,
        prefix: str,
        degree: int | None,
    ) -> None:
        def pin(form: Any) -> Any:
            return None if form is None else pinned(form, degree)

        self.given = given
        self.controls = Controls(given.controls, given.rows, before_step)
        controls, unknown = given.controls, given.unknown
        space = unknown.function_space
        self._data = Data(space.mesh, [unknown, *given.previous], self.controls.is_fixed)
        boundary = Boundary(space, given.bcs)
        self._data.watch(boundary, boundary.read)
        fixed = [name for name in controls if name not in given.rows]
        self._fixed = {name: self._data.watch(controls[name]) for name in fixed}
        self.running, self.final = pin(given.running_cost), pin(given.terminal_cost)
        """Costs of a step and of the end, pinned, or None."""
        self.equation = equation(
            pin(given.residual), unknown, given.previous, boundary, self._data, prefix
        )
        self.transpose = Transpose(self.equation, self.running, controls)
        self.cost = StepCost(self.running, given.misfits, self.equation)
        self.terminal = TerminalCost(self.final, self.equation, controls)
        self.initial: InitialState
        if given.initial is None:
            self.initial = FromValues(given.previous)
        elif isinstance(given.initial, ufl.Form):
            form, prefix = pin(given.initial), f"{prefix}initial_"
            self.initial = InitialEquation(form, unknown, boundary, controls, prefix)
        else:
            self.initial = FromFunctions(given.initial, controls)
        parts = (self.transpose, self.terminal, self.initial)
        check_enters(controls, set[str]().union(*(part.controls for part in parts)))
        self.reverse_uses = self.transpose.uses | self.cost.gradient_uses
        """What must be loaded where a step is reversed."""
        self._loaded: int | None = None
        self._versions: list[int] = []

    def begin(self) -> None:
        """Take the controls as they are, set their gradients to zero, and load step 0."""
        self.controls.begin()
        self._data.refresh()
        self._versions = self._data.versions([*self._fixed.values()])
        self._loaded = None
        self.load(0)

    def load(self, k: int) -> None:
        """Load what belongs to step `k`, unless it is what was loaded last.

        Raises
        ------
        StepperError
            `before_step` has changed a control.
        """
        if k == self._loaded:
            return
        if self.controls.depend_on_step:
            self.controls.load(k)
            self._data.refresh()
            versions = self._data.versions([*self._fixed.values()])
            if versions != self._versions:
                pairs = zip(self._fixed, versions, self._versions, strict=True)
                names = ", ".join(repr(name) for name, now, then in pairs if now != then)
                raise StepperError(
                    f"the control {names} was changed by before_step({k}): a control with a value "
                    "for each step is named in per_step"
                )
        self._loaded = k

    def take(self, k: int, levels: Sequence[Array], after: Array, cost: float | None) -> Any:
        """Take step `k` from the levels, newest first; return the total cost, if it is wanted."""
        self.load(k)
        needs_states, used = self.equation.needs_states, self.cost.uses
        for function, level in zip(self.given.previous, levels, strict=True):
            if needs_states or (cost is not None and function in used):
                load(function, level)
        self.equation.solve(levels, after, k)
        if cost is None:
            return None
        if not needs_states and self.given.unknown in used:
            load(self.given.unknown, after)
        return cost + self.cost.value(k)

    def load_used(self, uses: set[Any], after: Array, levels: Sequence[Array]) -> None:
        """Load the unknown and the levels, as far as they are among `uses`."""
        functions = [self.given.unknown, *self.given.previous]
        for function, array in zip(functions, [after, *levels], strict=True):
            if function in uses:
                load(function, array)

    def load_end(self, uses: set[Any], levels: Sequence[Array]) -> None:
        """Load what belongs to the end, whose levels are the unknown and those before it."""
        self.load_used(uses - {self.given.previous[-1]}, levels[0], [*levels[1:], levels[0]])
