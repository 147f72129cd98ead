"""The Dirichlet conditions of a step: which dofs they constrain, and to what."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.fenicsx.dofs import Array, array_of, owned_size

__all__ = ["Boundary"]


class Boundary:
    """The constrained dofs of a function space.

    Parameters
    ----------
    space
        The space of the unknown.
    conditions
        The ``DirichletBC`` objects, on the space or its sub-spaces. Of two that constrain the same
        dof, the later one holds.
    """

    def __init__(self, space: Any, conditions: Sequence[Any]) -> None:
        self.conditions = list(conditions)
        dofmap = space.dofmap
        block, owned = dofmap.index_map_bs, owned_size(space)
        size = owned + dofmap.index_map.num_ghosts * block
        constrained = np.zeros(size, bool)
        for condition in conditions:
            constrained[condition.dof_indices()[0]] = True
        self.dofs = np.flatnonzero(constrained)
        """Constrained dofs on this rank, ghosts last."""
        self.owned = self.dofs[self.dofs < owned]
        """Those that this rank owns."""
        self.rows = (self.owned + dofmap.index_map.local_range[0] * block).astype(np.int32)
        """Their global numbers."""
        self.values = np.zeros(size)
        """The prescribed values, and zero at free dofs."""

    def read(self) -> Array:
        """Return the prescribed values as the conditions have them now."""
        for condition in self.conditions:
            condition.set(self.values)
        return self.values

    def impose(self, array: Array) -> None:
        """Set the constrained dofs of a Function's array, ghosts included."""
        array[self.dofs] = self.values[self.dofs]

    def prescribed_by(self, value: Any) -> bool:
        """Return whether a Function or a Constant is the value of a condition."""
        return any(each.g is value._cpp_object for each in self.conditions)  # noqa: SLF001

    def pairs(self, value: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return where conditions prescribe the entries of a Function or a Constant.

        Returns
        -------
        dofs
            Constrained dofs that this rank owns.
        entries
            For each of them, the entry of the value's array that prescribes it.
        """
        array = array_of(value)
        kept, found = array.copy(), np.full(self.values.size, -1.0)
        try:
            array[...] = np.arange(array.size, dtype=float).reshape(array.shape)
            for condition in self.conditions:
                if condition.g is value._cpp_object:  # noqa: SLF001
                    condition.set(found)
                else:
                    found[condition.dof_indices()[0]] = -1
        finally:
            array[...] = kept
        dofs = self.owned[found[self.owned] >= 0]
        return dofs, found[dofs].astype(np.intp)
