"""Second-order products of scans of JAX: the programs of a leaf, differentiated forward.

A tangent is taken over a leaf by the ``jvp`` of the program that advances a carry. That of the
adjoint is pulled back by the ``jvp`` of the program that pulls an adjoint back: what is
differentiated is all that this program computes, so products are the derivative of the gradient.

A Gauss-Newton product linearises the body: with ``y`` what it returns, and ``l`` the losses, the
transpose of the linearised leaf is applied to the tangent of the adjoint and to ``l_yy y'``.

Directions go through a program one by one, so that the bits of products do not depend on how many
there are. XLA may fuse these programs otherwise than those of the gradient, which is computed by
its own and keeps its bits.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from adjoint.steppers import Arrays
from adjoint.steppers.second_order import Direction, SecondOrderOfLeaves
from solvers.jax.leaf import LeafPrograms
from solvers.jax.rows import padded
from solvers.jax.trees import chosen, merged

__all__ = ["SecondOrderScan"]

Lists = tuple[list[Any], ...]


class SecondOrderScan(SecondOrderOfLeaves):
    """Second-order products of a `ScanStepper`; parameters as for `SecondOrderOfLeaves`."""

    def __init__(
        self, inner: Any, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> None:
        for name, array in {**inner.adjoint, **inner.controls}.items():
            if np.iscomplexobj(array):
                raise StepperError(
                    f"{name!r} is complex: second derivatives of a scan need real carries and "
                    "controls. Give real and imaginary parts as two arrays"
                )
        self._scan = inner
        programs: LeafPrograms = inner.programs
        self._programs = programs
        self._compiled: dict[tuple[str, int], Callable[..., Any]] = {}
        super().__init__(inner, directions, gauss_newton=gauss_newton)

    def scratch_bytes(self, steps: int) -> int:
        """Return about what pulling back the tangents of a leaf takes."""
        return 2 * self._programs.scratch_bytes(steps)

    def initial_tangent(self, direction: Direction, out: Arrays) -> None:
        """Write the tangent of the initial carry to `out`."""
        for array in out.values():
            array[...] = 0
        for name, control in self._initial(out).items():
            out[name][...] = direction.controls[control]

    def advance_tangent(
        self, direction: Direction, start: int, stop: int, state: Arrays, tangent: Arrays
    ) -> None:
        """Take the tangent from `start` to `stop`, in place, given the carry at `start`."""
        if start < self._scan.end:
            point, moved = self._leaf(direction, start, stop, state, tangent)
            _write(self._program("advance", stop - start)(*point, moved), tangent)

    def turn_tangent(self, direction: Direction, state: Arrays, tangent: Arrays) -> None:
        """Write the derivative of that of the final loss to `direction.adjoint`."""
        for array in direction.adjoint.values():
            array[...] = 0
        if self._programs.model.final_loss is not None:
            scan = self._scan
            point = scan.params, list(state.values()), scan.final_target
            moved = self._of("params", direction.controls), list(tangent.values())
            params, adjoint = self._program("end", 0)(*point, moved)
            self._add(direction, "params", params)
            _write(adjoint, direction.adjoint)

    def pull_back_tangent(
        self,
        direction: Direction,
        start: int,
        stop: int,
        state: Arrays,
        tangent: Arrays,
        adjoint: Arrays | None,
    ) -> None:
        """Take `direction.adjoint` from `stop` to `start`, and add to the direction's gradient."""
        if start >= self._scan.end:
            return
        point, moved = self._leaf(direction, start, stop, state, tangent)
        back = list(direction.adjoint.values())
        if adjoint is None:
            found = self._program("gauss_newton", stop - start)(*point, moved, back)
        else:
            above = list(adjoint.values())
            found = self._program("pull_back", stop - start)(*point, above, moved, back)
        params, below, rows = found
        self._add(direction, "params", params)
        _write(below, direction.adjoint)
        for name, row in zip(self._scan.per_step, rows, strict=True):
            total = direction.gradient[name][start:stop]
            total += np.asarray(row)[: total.shape[0]]

    def finish_tangent(self, direction: Direction, adjoint: Arrays | None) -> None:
        """Add the tangent of the adjoint at step 0 to that of the gradient by the first carry."""
        del adjoint
        for name, control in self._initial(direction.adjoint).items():
            total = direction.gradient[control]
            np.add(total, direction.adjoint[name], out=total)

    # -- arguments of programs ----------------------------------------------------------------

    def _initial(self, moving: Arrays) -> dict[str, str]:
        """Return the controls of the initial carry, by the names of carries with a derivative."""
        selected = self._scan.selected.carry0
        flags = chosen(selected, self._programs.forms.carry.differentiable)
        return dict(zip(chosen(moving, flags), self._scan.names_of("carry0"), strict=True))

    def _of(self, tree: str, arrays: Arrays) -> list[NDArray[Any]]:
        return [arrays[name] for name in self._scan.names_of(tree)]

    def _leaf(
        self, direction: Direction, start: int, stop: int, state: Arrays, tangent: Arrays
    ) -> tuple[tuple[Any, ...], Lists]:
        """Return the point at which a leaf is differentiated, and the tangents of its parts."""
        scan = self._scan
        last = min(stop, scan.end)
        controls = [direction.controls[name] for name in scan.per_step]
        rows = [padded(control[start:last], stop - start) for control in controls]
        moved = self._of("params", direction.controls), list(tangent.values()), rows
        return (scan.params, list(state.values()), *scan.rows(start, stop)), moved

    def _add(self, direction: Direction, tree: str, gradients: list[Any]) -> None:
        for name, gradient in zip(self._scan.names_of(tree), gradients, strict=True):
            total = direction.gradient[name]
            np.add(total, np.asarray(gradient), out=total)

    # -- programs -----------------------------------------------------------------------------

    def _program(self, kind: str, steps: int) -> Callable[..., Any]:
        program = self._compiled.get((kind, steps))
        if program is None:
            made = {
                "advance": partial(self._advanced, steps),
                "pull_back": partial(self._pulled_back, steps),
                "gauss_newton": partial(self._gauss_newton, steps),
                "end": self._ended,
            }
            program = self._compiled[kind, steps] = jax.jit(made[kind])
        return program

    def _parts(self, *whole: list[Any]) -> tuple[list[Any], ...]:
        """Return what moves of parameters, carry and rows."""
        return tuple(chosen(*each) for each in zip(whole, self._flags, strict=True))

    def _merged(self, whole: Lists, parts: Lists) -> list[list[Any]]:
        triples = zip(whole, self._flags, parts, strict=True)
        return [merged(*triple) for triple in triples]

    @property
    def _flags(self) -> tuple[tuple[bool, ...], ...]:
        selected, moving = self._programs.selected, self._programs.forms.carry.differentiable
        return selected.params, moving, selected.xs + selected.targets

    def _advanced(
        self, steps: int, params: Any, carry: Any, rows: Any, alive: Any, moved: Lists
    ) -> list[Any]:
        whole = params, carry, rows
        moving = self._programs.forms.carry.differentiable

        def after(*parts: list[Any]) -> list[Any]:
            weights, before, inputs = self._merged(whole, parts)
            return chosen(self._programs.run(steps, weights, before, inputs, alive)[0], moving)

        return jax.jvp(after, self._parts(*whole), moved)[1]

    def _pulled_back(
        self,
        steps: int,
        params: Any,
        carry: Any,
        rows: Any,
        alive: Any,
        adjoint: list[Any],
        moved: Lists,
        back: list[Any],
    ) -> Lists:
        whole = params, carry, rows

        def gradients(above: list[Any], *parts: list[Any]) -> Lists:
            weights, before, inputs = self._merged(whole, parts)
            return self._programs.transpose(steps, weights, before, inputs, alive, above)

        point, tangents = (adjoint, *self._parts(*whole)), (back, *moved)
        return jax.jvp(gradients, point, tangents)[1]

    def _gauss_newton(
        self,
        steps: int,
        params: Any,
        carry: Any,
        rows: Any,
        alive: Any,
        moved: Lists,
        back: list[Any],
    ) -> Lists:
        whole = params, carry, rows
        moving = self._programs.forms.carry.differentiable
        parts = self._parts(*whole)

        def outputs(*parts: list[Any]) -> tuple[tuple[list[Any], list[Any]], Any]:
            weights, before, inputs = self._merged(whole, parts)
            after, ys = self._programs.run(steps, weights, before, inputs, alive, outputs=True)
            leaves, structure = jax.tree.flatten(ys)
            real = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]
            return (chosen(after, moving), chosen(leaves, real)), (leaves, structure, real)

        # Shapes and flags of what the body returns are known as soon as it is traced.
        seen: list[Any] = []

        def moving_outputs(*parts: list[Any]) -> tuple[list[Any], list[Any]]:
            found, others = outputs(*parts)
            seen[:] = others
            return found

        (_, ys), pulled = jax.vjp(moving_outputs, *parts)
        _, structure, real = seen
        leaves = jax.lax.stop_gradient(outputs(*parts)[1][0])
        _, (_, slopes) = jax.jvp(moving_outputs, parts, moved)

        def misfit(params: list[Any], ys: list[Any], rows: list[Any]) -> Any:
            whole_params, _, whole_rows = self._merged(whole, (params, parts[1], rows))
            tree = jax.tree.unflatten(structure, merged(leaves, real, ys))
            return self._programs.losses_of(whole_params, tree, whole_rows, alive)

        point, along = (parts[0], ys, parts[2]), (moved[0], slopes, moved[2])
        bent = jax.jvp(jax.grad(misfit, argnums=(0, 1, 2)), point, along)[1]
        of_params, of_carry, of_rows = pulled((back, bent[1]))
        return _sum(of_params, bent[0]), of_carry, _sum(of_rows, bent[2])

    def _ended(self, params: Any, carry: Any, target: Any, moved: Lists) -> Lists:
        selected, moving = self._programs.selected.params, self._programs.forms.carry.differentiable

        def gradients(weights: list[Any], ends: list[Any]) -> Lists:
            given = merged(params, selected, weights), merged(carry, moving, ends)
            return self._programs.run_end(*given, target)[1]

        point = chosen(params, selected), chosen(carry, moving)
        return jax.jvp(gradients, point, moved)[1]


def _sum(some: list[Any], others: list[Any]) -> list[Any]:
    return [a + b for a, b in zip(some, others, strict=True)]


def _write(found: list[Any], arrays: Arrays) -> None:
    for array, new in zip(arrays.values(), found, strict=True):
        np.copyto(array, np.asarray(new))
