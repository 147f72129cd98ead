"""What forms are assembled to: matrices and vectors that are kept while they are the same.

With the multiplier ``λ`` of a step, its Lagrangian ``L = F[λ]`` and its cost ``r``, a `Sensitivity`
adds ``-∂L/∂x + ∂r/∂x``. Where the first part depends on ``λ`` and on what stays the same alone, it
is a product with a kept matrix or vector.
"""

from typing import Any, Protocol

import numpy as np
import ufl
from dolfinx import fem, la
from petsc4py import PETSc

from solvers.fenicsx.boundary import Boundary
from solvers.fenicsx.data import Data
from solvers.fenicsx.dofs import Array, Summed, owned, window_for
from solvers.fenicsx.forms import components, depends_on, partial, with_multiplier

__all__ = ["Matrix", "Multiplier", "Residual", "Sensitivity", "Value", "Vector", "sensitivity"]


class Multiplier:
    """The multiplier ``λ`` of a step, a Function in the test space."""

    def __init__(self, space: Any) -> None:
        self.function: Any = fem.Function(space)
        self.owned: Array = owned(self.function)
        """Its dofs that this rank owns."""
        self.window = window_for(space)


class Matrix:
    """A bilinear form as a matrix, assembled again when what it depends on has changed.

    Parameters
    ----------
    form
        The form, expanded.
    data
        Watches what it depends on. If the states are among it, it is always assembled.
    eliminated
        Constrained dofs, whose rows and columns are to be those of the identity.
    negative
        Whether to take the form with the opposite sign, and to leave the rows of these constrained
        dofs empty.
    """

    def __init__(
        self,
        form: Any,
        data: Data,
        *,
        eliminated: Boundary | None = None,
        negative: Boundary | None = None,
    ) -> None:
        self.uses_state = data.uses_state(form)
        self.depends_on = depends_on(form)
        self.assemblies = 0
        """How often it has been assembled."""
        self._kept = data.kept(form)
        self._form: Any = fem.form(form)
        self._bcs = [] if eliminated is None else eliminated.conditions
        self._negative = negative
        # DOLFINx adds what ranks have in ghost rows in a fixed order; PETSc would add it in the
        # order of its arrival, which from three ranks on changes the last bits.
        expanded: Any = la.BlockMode.expanded  # pyright: ignore[reportPrivateImportUsage]
        self._entries: Any = fem.create_matrix(self._form, block_mode=expanded)
        maps = [self._entries.index_map(axis) for axis in (0, 1)]
        starts = self._entries.indptr[: maps[0].size_local + 1].astype(PETSc.IntType)
        self._count = int(starts[-1])
        columns = maps[1].local_to_global(self._entries.indices[: self._count])
        self._pattern = starts, columns.astype(PETSc.IntType)
        rows = form.arguments()[0].ufl_function_space()
        sizes: Any = [(each.size_local, each.size_global) for each in maps]
        self.mat: Any = PETSc.Mat().createAIJ(
            sizes,
            bsize=_block_size(rows),
            csr=self._pattern,
            comm=rows.mesh.comm,
        )
        self.mat.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)

    def renew(self) -> None:
        """Assemble it if it depends on the states, or if its data have changed. Collective."""
        if not self.uses_state and not self._kept.is_stale():
            return
        self._entries.set_value(0.0)
        fem.assemble_matrix(self._entries, self._form, self._bcs)
        self._entries.scatter_reverse()
        self.mat.setValuesCSR(*self._pattern, self._entries.data[: self._count])
        self.mat.assemble()
        if self._negative is not None:
            self.mat.scale(-1.0)
            if self._negative.conditions:
                self.mat.zeroRows(self._negative.rows, 0.0)
        self.assemblies += 1
        self._kept.renewed()


def _block_size(space: Any) -> int:
    return space.dofmap.index_map_bs


class Vector:
    """A linear form without states, assembled again when what it depends on has changed."""

    def __init__(self, form: Any, data: Data) -> None:
        self._kept = data.kept(form)
        self._assembled = Residual(form)
        self._current = np.empty(0)

    def current(self) -> Array:
        """Return it: an array of owned dofs, read-only. Collective."""
        if self._kept.is_stale():
            self._current = self._assembled.assemble()
            self._kept.renewed()
        return self._current


class Residual:
    """A linear form, assembled at each call."""

    def __init__(self, form: Any) -> None:
        self._form: Any = fem.form(form)
        self._sum = Summed(form.arguments()[0].ufl_function_space())

    def assemble(self) -> Array:
        """Return an array of owned dofs, overwritten by the next call. Collective."""
        fem.assemble_vector(self._sum.cleared(), self._form)
        return self._sum.total()


class Value:
    """A 0-form, such as a cost."""

    def __init__(self, form: Any) -> None:
        self._form: Any = fem.form(form)

    def assemble(self) -> float:
        """Return this rank's part."""
        return float(fem.assemble_scalar(self._form).real)


class Sensitivity(Protocol):
    """A derivative by one Function or Constant."""

    uses: set[Any]
    """What its forms depend on, and must be loaded."""

    def add(self, out: Array) -> None:
        """Add it to the owned dofs; of a Constant, this rank's part. Collective."""
        ...


class _ByFunction:
    def __init__(self, space: Any, multiplier: Multiplier, matrix: Matrix | None, rest: Any):
        self.uses = set[Any]() if rest is None else set(depends_on(rest))
        self._multiplier, self._matrix = multiplier, matrix
        self._rest = None if rest is None else Residual(rest)
        self._window = window_for(space)

    def add(self, out: Array) -> None:
        if self._matrix is not None:
            self._matrix.renew()
            total = self._window.on(out)
            multiplier = self._multiplier.window.on(self._multiplier.owned)
            self._matrix.mat.multTransposeAdd(multiplier, total, total)
        if self._rest is not None:
            out += self._rest.assemble()


class _ByConstant:
    def __init__(self, multiplier: Multiplier, kept: list[Vector | None], rest: list[Any]):
        given = [form for form in rest if form is not None]
        self.uses = {each for form in given for each in depends_on(form)}
        self._multiplier, self._kept = multiplier, kept
        self._rest = [None if form is None else Value(form) for form in rest]

    def add(self, out: Array) -> None:
        for entry, (kept, rest) in enumerate(zip(self._kept, self._rest, strict=True)):
            if kept is not None:
                out.flat[entry] -= kept.current() @ self._multiplier.owned
            if rest is not None:
                out.flat[entry] += rest.assemble()


def sensitivity(
    x: Any, residual: Any, cost: Any, multiplier: Multiplier, data: Data, *, matrix: Any = None
) -> Sensitivity | None:
    """Return ``-∂L/∂x + ∂r/∂x``; None if it is zero.

    Parameters
    ----------
    x
        A Function or a Constant.
    residual, cost
        The residual and the cost, pinned. Each may be None, which stands for zero.
    multiplier, data
        Of the step.
    matrix
        ``-∂F/∂x`` as a matrix, if there is one already.
    """
    negative: Any = None if residual is None else -residual
    lagrangian: Any = None if negative is None else with_multiplier(negative, multiplier.function)
    if not hasattr(x, "x"):
        return _by_constant(x, residual, lagrangian, cost, multiplier, data)
    own = None if lagrangian is None else partial(lagrangian, x)
    if own is None:
        matrix = None
    elif (
        matrix is None
        and data.are_fixed(own, apart_from=multiplier.function)
        and _block_size(x.function_space) == _block_size(multiplier.function.function_space)
    ):  # DOLFINx's matrices have square blocks only
        trial = ufl.TrialFunction(x.function_space)
        matrix = Matrix(partial(negative, x, trial), data)
    rest = _sum(None if matrix is not None else own, None if cost is None else partial(cost, x))
    if matrix is None and rest is None:
        return None
    return _ByFunction(x.function_space, multiplier, matrix, rest)


def _by_constant(
    x: Any, residual: Any, lagrangian: Any, cost: Any, multiplier: Multiplier, data: Data
) -> Sensitivity | None:
    def by_component(form: Any) -> list[Any]:
        return [None] * x.value.size if form is None else components(form, x)

    of_residual = by_component(residual)
    kept = [
        Vector(form, data) if form is not None and data.are_fixed(form) else None
        for form in of_residual
    ]
    rest = [
        _sum(None if vector is not None else form, own)
        for vector, form, own in zip(
            kept, by_component(lagrangian), by_component(cost), strict=True
        )
    ]
    if not any(each is not None for each in (*kept, *rest)):
        return None
    return _ByConstant(multiplier, kept, rest)


def _sum(*given: Any) -> Any:
    """Return the sum of forms, of which some may be None; None if all are."""
    total: Any = None
    for form in given:
        if form is not None:
            total = form if total is None else total + form
    return total
