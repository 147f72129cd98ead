"""Pytrees as named NumPy arrays, and back.

JAX keeps parameters and states in *pytrees*: nested tuples, lists and dicts with arrays as leaves.
`adjoint` keeps named arrays. A `TreeForm` has what is needed to convert between the two: the
structure of the tree, and name, shape and dtype of each leaf. The name of a leaf is that of its
tree followed by its path, as JAX writes it: ``params['cell']['bias']``, ``carry[0]``.

Arrays of PRNG keys have no NumPy dtype. In memory they are arrays of random bits; in traced
functions they are arrays of keys again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["LeafType", "TreeForm", "bits_of", "chosen", "holds_keys", "in_memory", "merged"]

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class LeafType:
    """Shape and dtype of one leaf, in memory."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    keys: Any = None
    """Implementation of the leaf's PRNG keys; None if it does not hold keys."""

    @classmethod
    def of(cls, leaf: Any) -> "LeafType":
        """Return the type that JAX gives to a value; without x64, float64 becomes float32.

        Raises
        ------
        TypeError
            It is not an array or a number.
        """
        if holds_keys(leaf):
            bits = jax.eval_shape(jax.random.key_data, leaf)
            return cls(bits.shape, np.dtype(bits.dtype), jax.random.key_impl(leaf))
        aval = jax.eval_shape(jnp.asarray, leaf)
        return cls(aval.shape, np.dtype(aval.dtype))

    @property
    def differentiable(self) -> bool:
        """Whether the leaf is differentiable: integers, booleans and keys are not."""
        return self.keys is None and bool(jnp.issubdtype(self.dtype, jnp.inexact))

    @property
    def traced_shape(self) -> tuple[int, ...]:
        """Shape in traced functions, where the bits of a key are one entry."""
        return self.shape if self.keys is None else self.shape[:-1]

    def traced(self, array: Any) -> Any:
        """Return the leaf as traced functions see it, given its array in memory."""
        if self.keys is None:
            return array
        return jax.random.wrap_key_data(array, impl=self.keys)

    def struct(self, *leading: int) -> jax.ShapeDtypeStruct:
        """Return the type of the array in memory, with further leading axes, to compile for."""
        return jax.ShapeDtypeStruct((*leading, *self.shape), self.dtype)


@dataclass(frozen=True, slots=True)
class TreeForm:
    """The form of a pytree, without its values. Programs for equal forms can be reused."""

    structure: Any
    names: tuple[str, ...]
    """Names of the leaves."""
    types: tuple[LeafType, ...]
    """Types of the leaves."""

    @classmethod
    def of(cls, tree: Any, name: str) -> "TreeForm":
        """Return the form of a tree.

        Raises
        ------
        ArgumentError
            A leaf is not an array or a number.
        """
        leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
        names = tuple(name + jax.tree_util.keystr(path) for path, _ in leaves)
        types: list[LeafType] = []
        for leaf_name, (_, leaf) in zip(names, leaves, strict=True):
            try:
                types.append(LeafType.of(leaf))
            except TypeError:
                raise ArgumentError(
                    f"{leaf_name} is of type {type(leaf).__name__}: leaves must be arrays or "
                    "numbers"
                ) from None
        return cls(structure, names, tuple(types))

    @property
    def differentiable(self) -> tuple[bool, ...]:
        """Flags of the leaves that are differentiable."""
        return tuple(leaf.differentiable for leaf in self.types)

    def structs(self) -> list[jax.ShapeDtypeStruct]:
        """Return the types of the leaves' arrays in memory, to compile for."""
        return [leaf.struct() for leaf in self.types]

    def tree(self, arrays: Iterable[Any]) -> Any:
        """Return the tree as traced functions see it, given its leaves' arrays in memory."""
        pairs = zip(self.types, arrays, strict=True)
        return jax.tree.unflatten(self.structure, [leaf.traced(array) for leaf, array in pairs])

    def arrays(self, tree: Any) -> list[NDArray[Any]]:
        """Return the leaves of a tree of this form as NumPy arrays, not to be written to."""
        pairs = zip(jax.tree.leaves(tree), self.types, strict=True)
        return [in_memory(leaf, kind) for leaf, kind in pairs]


def in_memory(leaf: Any, kind: LeafType) -> NDArray[Any]:
    """Return a leaf as a NumPy array of the dtype of `kind`, without a copy if possible."""
    return np.asarray(bits_of(leaf), dtype=kind.dtype)


def bits_of(leaf: Any) -> Any:
    """Return the random bits of an array of PRNG keys; anything else unchanged."""
    return jax.random.key_data(leaf) if holds_keys(leaf) else leaf


def chosen(leaves: Iterable[Value], flags: Iterable[bool]) -> list[Value]:
    """Return the leaves whose flag is set."""
    return [leaf for leaf, flag in zip(leaves, flags, strict=True) if flag]


def merged(
    leaves: Iterable[Value], flags: Iterable[bool], replaced: Sequence[Value]
) -> list[Value]:
    """Return `leaves` with those whose flag is set replaced, in order: the inverse of `chosen`."""
    others = iter(replaced)
    pairs = zip(leaves, flags, strict=True)
    return [next(others) if flag else leaf for leaf, flag in pairs]


def holds_keys(leaf: Any) -> bool:
    """Return whether a value is an array of PRNG keys."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
