"""Pytrees of sequences, read a range of steps at a time.

`solvers.sequences.Rows` reads one sequence. A scan takes a pytree of them, or a function
``(start, stop) -> pytree of rows`` for data generated or decoded on demand.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError
from solvers.jax.trees import LeafType, TreeForm, chosen, holds_keys, in_memory
from solvers.sequences import Rows

__all__ = ["RowTree", "padded"]


class RowTree:
    """The rows of a pytree of sequences, read on demand and not kept.

    Parameters
    ----------
    source
        A pytree whose leaves are sources of `Rows`: arrays of JAX or NumPy, memory maps, HDF5
        datasets, functions; or one function ``(start, stop) -> pytree``. Functions are called for
        step 0 at construction, to learn shapes and dtypes, and again for recomputed steps.
    name
        Its name in messages: "xs", "targets".

    Raises
    ------
    ArgumentError
        A leaf is none of these.
    StepperError
        A function returns the wrong number of rows.
    """

    def __init__(self, source: Any, name: str) -> None:
        self._name = name
        self._whole: Callable[[int, int], Any] | None = source if callable(source) else None
        """The function that returns the rows of all leaves, if there is one."""
        tree = source if self._whole is None else self._whole(0, 1)
        paths, structure = jax.tree_util.tree_flatten_with_path(tree)
        names = [name + jax.tree_util.keystr(path) for path, _ in paths]
        self._returned = [leaf for _, leaf in paths]
        """The rows that the function returned for the current read."""
        types: list[LeafType] = []
        self._rows: list[Rows] = []
        for index, leaf in enumerate(self._returned):
            rows = Rows(self._source(index, leaf), names[index])
            self._rows.append(rows)
            types.append(_row_type(rows.read(0, 1) if rows.num_rows is None else leaf))
        self._returned = []
        self.form = TreeForm(structure, tuple(names), tuple(types))
        """Form of one row."""

    @property
    def num_rows(self) -> int | None:
        """Number of rows of the longest leaf; None if all are functions."""
        return max((size for size in self.sizes if size is not None), default=None)

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """Number of rows of each leaf; None for a function."""
        return tuple(rows.num_rows for rows in self._rows)

    def arrays(self) -> dict[str, Any]:
        """Return the array that the rows of each leaf are of, by name; None for a function."""
        return {rows.name: rows.array for rows in self._rows}

    def whole(self, flags: Iterable[bool]) -> list[NDArray[Any]]:
        """Return all rows of the leaves whose flag is set, as views not to be written to.

        Raises
        ------
        ArgumentError
            One of them is a function.
        """
        arrays: list[NDArray[Any]] = []
        for rows, kind in chosen(zip(self._rows, self.form.types, strict=True), flags):
            if rows.num_rows is None:
                raise ArgumentError(
                    f"{rows.name} is a function, whose rows cannot have a gradient: give an array, "
                    "or leave it out of argnums"
                )
            arrays.append(in_memory(rows.read(0, rows.num_rows), kind))
        return arrays

    def check_end(self, end: int) -> None:
        """Raise `ArgumentError` if a leaf is known to have too few rows for the steps to `end`."""
        for rows in self._rows:
            if rows.num_rows is not None and rows.num_rows < end:
                rows.read(rows.num_rows, end)

    def read(self, start: int, stop: int, end: int) -> list[NDArray[Any]]:
        """Return the rows of the steps ``[start, stop)`` of each leaf, not to be written to.

        Nothing is read from `end` on: the last row before it is repeated.

        Raises
        ------
        ArgumentError
            There are too few rows. The message names the first step without one.
        StepperError
            Structure, shape or dtype of the rows that a function returned have changed, or their
            number is wrong. The message names the steps.
        """
        last = min(stop, end)
        if self._whole is not None:
            self._returned = self._leaves(self._whole(start, last), start, last)
        pairs = zip(self._rows, self.form.types, strict=True)
        arrays = [in_memory(rows.read(start, last), kind) for rows, kind in pairs]
        self._returned = []
        return [padded(array, stop - start) for array in arrays]

    def _source(self, index: int, leaf: Any) -> Any:
        """Return the source that `Rows` reads a leaf from; arrays of JAX are viewed as NumPy's."""
        if self._whole is not None:
            return lambda _start, _stop: self._returned[index]
        if isinstance(leaf, jax.Array) and leaf.ndim > 0:
            return in_memory(leaf, _row_type(leaf))
        return leaf

    def _leaves(self, tree: Any, start: int, stop: int) -> list[Any]:
        leaves, structure = jax.tree.flatten(tree)
        if structure != self.form.structure:
            raise StepperError(
                f"{self._name} for the steps [{start}, {stop}) has the tree structure {structure}; "
                f"before, it was {self.form.structure}"
            )
        return leaves


def padded(rows: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return `steps` rows: the given ones, and repetitions of the last."""
    missing = steps - rows.shape[0]
    if missing == 0:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def _row_type(rows: Any) -> LeafType:
    """Return the type of one row, given several."""
    if holds_keys(rows):
        bits = jax.eval_shape(jax.random.key_data, rows)
        return LeafType(bits.shape[1:], np.dtype(bits.dtype), jax.random.key_impl(rows))
    return LeafType(tuple(rows.shape[1:]), np.dtype(jax.dtypes.canonicalize_dtype(rows.dtype)))
