"""What a `FormStepper` refuses before it computes anything, in a sentence that says what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import default_scalar_type, fem
from ufl.algorithms import extract_coefficients
from ufl.algorithms.analysis import extract_constants

from adjoint.errors import AdjointError, ArgumentError, StepperError
from adjoint.parallel import agree_on, communicator, require_same
from solvers.fenicsx.dofs import Array, array_of, owned

__all__ = ["Given", "check_enters", "check_on_all_ranks"]


@dataclass(frozen=True, slots=True)
class Given:
    """The arguments of a `FormStepper`."""

    residual: Any
    unknown: Any
    previous: Sequence[Any]
    controls: Mapping[str, Any]
    bcs: Sequence[Any]
    initial: Any
    """None, a form, or a list of Functions."""
    rows: Mapping[str, Array]
    running_cost: Any
    terminal_cost: Any
    misfits: Sequence[Any]

    @property
    def forms(self) -> dict[str, Any]:
        """The forms among them, by name."""
        names = ("residual", "running_cost", "terminal_cost", "initial")
        found = {name: getattr(self, name) for name in names}
        return {name: form for name, form in found.items() if isinstance(form, ufl.Form)}


def check_on_all_ranks(given: Given) -> None:
    """Refuse what cannot be differentiated, on all ranks together. Collective.

    Raises
    ------
    StepperError
        An argument is wrong in itself, or does not fit the others.
    ArgumentError
        ``per_step`` names what is not a control, has rows of a wrong shape, or another number
        of them on another rank.
    """
    _check_states(given)
    comm = given.unknown.function_space.mesh.comm
    ranks = communicator(comm if comm.size > 1 else None)
    try:
        agree_on(lambda: _check(given), ranks, catch=AdjointError)
        rows = {name: len(array) for name, array in given.rows.items()}
        require_same(ranks, controls=list(given.controls), rows=rows)
    finally:
        ranks.free()


def _check(given: Given) -> None:
    """Refuse what cannot be differentiated, on this rank."""
    if default_scalar_type is not np.float64:
        raise StepperError(
            "this DOLFINx computes with complex numbers or in single precision: install "
            "dolfinx-solver-real"
        )
    _check_residual("the residual", given.residual, given.unknown)
    _check_controls(given)
    _check_conditions(given)
    _check_costs(given)
    _check_initial(given)
    _check_rows(given)
    _check_aliases(given)
    for misfit in given.misfits:
        function = getattr(misfit, "function", None)
        if function is not None and not _share(function, given.unknown):
            raise StepperError("a misfit must be one of the unknown, or of unknown.sub(i)")


def check_enters(controls: Mapping[str, Any], used: set[str]) -> None:
    """Raise `StepperError` unless something depends on every control."""
    for name in controls:
        if name not in used:
            raise StepperError(
                f"the control {name!r} enters neither the residual, nor a condition, the initial "
                "state or a cost: nothing would be differentiated by it. What is interpolated from "
                "a control is not differentiated: write it as a form"
            )


def _check_states(given: Given) -> None:
    unknown, levels = given.unknown, given.previous
    for function in (unknown, *levels):
        if not isinstance(function, fem.Function):
            raise StepperError(
                "unknown and previous must be Functions of DOLFINx, not "
                f"{type(function).__name__}: spaces are joined by a mixed element, and a Function "
                "in it"
            )
    if not levels:
        raise StepperError("there must be at least one Function in previous: the state before")
    for place, level in enumerate(levels):
        if _share(level, unknown):
            raise StepperError("the unknown is among previous: the two states need two Functions")
        if any(_share(level, other) for other in levels[:place]):
            raise StepperError("previous has the same Function twice: each level needs its own")
        if level.function_space != unknown.function_space:
            raise StepperError(
                "previous has a Function of another space than the unknown: make it by "
                "fem.Function(unknown.function_space)"
            )


def _check_residual(what: str, form: Any, unknown: Any) -> None:
    if isinstance(form, (list, tuple)):
        raise StepperError(
            f"{what} is a list of forms: join the spaces by a mixed element "
            "(basix.ufl.mixed_element), and write one form"
        )
    if not isinstance(form, ufl.Form) or form.empty():
        raise StepperError(f"{what} must be a UFL form that is not zero, not {form!r:.80}")
    arguments: Any = form.arguments()
    if len(arguments) == 2:
        raise StepperError(
            f"{what} is bilinear: write the unknown as a Function, not as a TrialFunction, and the "
            "whole residual as one form that is zero at the solution"
        )
    if not arguments:
        raise StepperError(f"{what} has no TestFunction")
    if arguments[0].ufl_function_space() != unknown.function_space:
        raise StepperError(
            f"{what} has a TestFunction of another space than the unknown: make it by "
            "ufl.TestFunction(unknown.function_space)"
        )
    if unknown not in form.coefficients():
        raise StepperError(f"{what} does not depend on the unknown")


def _check_controls(given: Given) -> None:
    seen: list[Any] = []
    if not given.controls:
        raise StepperError("there is no control: nothing would be differentiated")
    for name, control in given.controls.items():
        if not isinstance(control, (fem.Function, fem.Constant)):
            raise StepperError(
                f"the control {name!r} must be a Function or a Constant of DOLFINx, not "
                f"{type(control).__name__}"
            )
        if array_of(control).dtype != np.float64:
            raise StepperError(
                f"the control {name!r} is {array_of(control).dtype}: give it values in float64"
            )
        if any(_share(control, other) for other in seen):
            raise StepperError(f"the control {name!r} is given under two names")
        if any(_share(control, state) for state in (given.unknown, *given.previous)):
            raise StepperError(
                f"the control {name!r} is the unknown or a level before it, which steps overwrite: "
                "for the initial state give a Function of its own, and initial= the same Function"
            )
        seen.append(control)


def _check_conditions(given: Given) -> None:
    space = given.unknown.function_space._cpp_object  # noqa: SLF001
    for condition in given.bcs:
        if not isinstance(condition, fem.DirichletBC):
            raise StepperError(
                f"bcs must be what fem.dirichletbc makes, not {type(condition).__name__}"
            )
        if not space.contains(condition.function_space):
            raise StepperError(
                "a condition is on another space than the unknown: make it on "
                "unknown.function_space or a sub-space of that"
            )


def _check_costs(given: Given) -> None:
    for name in ("running_cost", "terminal_cost"):
        form = getattr(given, name)
        if form is None:
            continue
        if not isinstance(form, ufl.Form) or form.empty():
            raise StepperError(f"{name} must be a UFL form that is not zero, not {form!r:.80}")
        if form.arguments():
            raise StepperError(f"{name} has a TestFunction or a TrialFunction: a cost has none")
    terminal = given.terminal_cost
    if terminal is not None and given.previous[-1] in terminal.coefficients():
        raise StepperError(
            "terminal_cost depends on the oldest level of previous, which is gone at the end: in "
            "it the unknown is the last state, previous[0] the state before if there are two levels"
        )


def _check_initial(given: Given) -> None:
    initial = given.initial
    if initial is None:
        return
    if isinstance(initial, ufl.Form):
        _check_residual("initial", initial, given.unknown)
        if any(level in initial.coefficients() for level in given.previous):
            raise StepperError("initial depends on previous: no state is before the first one")
        return
    functions: Sequence[Any] = initial
    if len(functions) not in {1, len(given.previous)}:
        raise StepperError(
            f"initial has {len(functions)} Functions: give one for all {len(given.previous)} "
            "levels, or one for each"
        )
    for function in functions:
        if not isinstance(function, fem.Function):
            raise StepperError(
                f"initial must be a Function or a form, not {type(function).__name__}"
            )
        if function.function_space != given.unknown.function_space:
            raise StepperError("initial must be in the space of the unknown: interpolate it there")
        if any(_share(function, state) for state in (given.unknown, *given.previous)):
            raise StepperError(
                "initial is the unknown or a level before it, which steps overwrite: leave it out "
                "to begin with what previous holds now, or give a Function of its own"
            )


def _check_rows(given: Given) -> None:
    for name, rows in given.rows.items():
        if name not in given.controls:
            raise ArgumentError(f"per_step has {name!r}, which is not among controls")
        control = given.controls[name]
        shape = owned(control).shape
        if rows.shape[1:] != shape or rows.ndim != 1 + len(shape):
            raise ArgumentError(
                f"per_step[{name!r}] has shape {rows.shape}: it must be a row of shape {shape} for "
                "each step" + (", the dofs that this rank owns" if hasattr(control, "x") else "")
            )
        for what in ("terminal_cost", "initial"):
            form = given.forms.get(what)
            holders = getattr(given, what) or () if form is None else _terminals(form)
            if any(holder is control for holder in holders):
                raise StepperError(
                    f"{what} depends on {name!r}, which has a row for each step: it belongs to none"
                )


def _check_aliases(given: Given) -> None:
    """Refuse views of the Functions that are differentiated by: UFL takes them for others."""
    whole = [given.unknown, *given.previous, *given.controls.values()]
    for form in given.forms.values():
        for holder in _terminals(form):
            if any(_share(holder, each) and holder is not each for each in whole):
                raise StepperError(
                    f"a form has a view of {holder}: its derivative would be left out. Write "
                    "ufl.split(u)[i] or u[i], not u.sub(i) or u.split()"
                )


def _terminals(form: Any) -> list[Any]:
    return [*extract_coefficients(form), *extract_constants(form)]


def _share(one: Any, other: Any) -> bool:
    return np.shares_memory(array_of(one), array_of(other))
