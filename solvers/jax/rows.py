"""Pytrees of sequences, read a range of steps at a time.

`solvers.sequences.Rows` reads one array. What a scan is given is a pytree of them; or a function
``(start, stop) -> pytree of rows``, for data that is made or decoded as it is needed.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError
from solvers.jax.trees import LeafType, TreeForm, chosen, holds_keys, in_memory
from solvers.sequences import Rows

__all__ = ["RowTree", "prolonged"]


class RowTree:
    """The rows of a pytree of sequences. Nothing is kept of them.

    Parameters
    ----------
    source
        A pytree whose leaves are what `Rows` takes: arrays of JAX or NumPy, memory maps, HDF5
        datasets, functions; or one function ``(start, stop) -> pytree``. Functions are called
        for step 0 at once, to see what they give, and again for steps that are replayed.
    name
        What messages call it: "xs", "targets".

    Raises
    ------
    ArgumentError
        A leaf is none of these.
    StepperError
        A function gives something else than so many rows.
    """

    def __init__(self, source: Any, name: str) -> None:
        self._name = name
        self._whole: Callable[[int, int], Any] | None = source if callable(source) else None
        """What gives the rows of all leaves at once."""
        tree = source if self._whole is None else self._whole(0, 1)
        paths, structure = jax.tree_util.tree_flatten_with_path(tree)
        names = [name + jax.tree_util.keystr(path) for path, _ in paths]
        self._given = [leaf for _, leaf in paths]
        """The rows of the read under way."""
        types: list[LeafType] = []
        self._rows: list[Rows] = []
        for index, leaf in enumerate(self._given):
            rows = Rows(self._source(index, leaf), names[index])
            self._rows.append(rows)
            types.append(_row_type(rows.read(0, 1) if rows.num_rows is None else leaf))
        self._given = []
        self.form = TreeForm(structure, tuple(names), tuple(types))
        """Of one row."""

    @property
    def num_rows(self) -> int | None:
        """How many rows the longest leaf has; None where only functions know."""
        return max((size for size in self.sizes if size is not None), default=None)

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """How many rows each leaf has; None for a function."""
        return tuple(rows.num_rows for rows in self._rows)

    def whole(self, flags: Iterable[bool]) -> list[NDArray[Any]]:
        """Return all rows of the leaves whose flag is set. Do not write to them.

        Raises
        ------
        ArgumentError
            One of them is a function.
        """
        found: list[NDArray[Any]] = []
        for rows, kind in chosen(zip(self._rows, self.form.types, strict=True), flags):
            if rows.num_rows is None:
                raise ArgumentError(
                    f"{rows.name} is a function, and what a function gives has no gradient: give "
                    "an array, or leave it out of argnums"
                )
            found.append(in_memory(rows.read(0, rows.num_rows), kind))
        return found

    def check_end(self, end: int) -> None:
        """Raise `ArgumentError` if a leaf is known to have no rows for the steps up to `end`."""
        for rows in self._rows:
            if rows.num_rows is not None and rows.num_rows < end:
                rows.read(rows.num_rows, end)

    def read(self, start: int, stop: int, end: int) -> list[NDArray[Any]]:
        """Return the rows of the steps ``[start, stop)`` of each leaf: do not write to them.

        Nothing is read at `end` or after it: the last row before is repeated.

        Raises
        ------
        ArgumentError
            There are too few rows. The message names the first step without one.
        StepperError
            A function gave another structure, shape or dtype than before, or another number of
            rows. The message names the steps.
        """
        last = min(stop, end)
        if self._whole is not None:
            self._given = self._leaves(self._whole(start, last), start, last)
        pairs = zip(self._rows, self.form.types, strict=True)
        arrays = [in_memory(rows.read(start, last), kind) for rows, kind in pairs]
        self._given = []
        return [prolonged(array, stop - start) for array in arrays]

    def _source(self, index: int, leaf: Any) -> Any:
        """Return what `Rows` reads a leaf from: an array on a device is looked at in memory."""
        if self._whole is not None:
            return lambda _start, _stop: self._given[index]
        if isinstance(leaf, jax.Array) and leaf.ndim > 0:
            return in_memory(leaf, _row_type(leaf))
        return leaf

    def _leaves(self, tree: Any, start: int, stop: int) -> list[Any]:
        leaves, structure = jax.tree.flatten(tree)
        if structure != self.form.structure:
            raise StepperError(
                f"{self._name} for the steps [{start}, {stop}) is a tree {structure}; before, it "
                f"was {self.form.structure}"
            )
        return leaves


def prolonged(rows: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return so many rows: these, and the last one repeated."""
    missing = steps - rows.shape[0]
    if missing == 0:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def _row_type(rows: Any) -> LeafType:
    """Return the type of one of several rows."""
    if holds_keys(rows):
        bits = jax.eval_shape(jax.random.key_data, rows)
        return LeafType(bits.shape[1:], np.dtype(bits.dtype), jax.random.key_impl(rows))
    return LeafType(tuple(rows.shape[1:]), np.dtype(jax.dtypes.canonicalize_dtype(rows.dtype)))
