"""Pytrees as named NumPy arrays, and back.

JAX keeps parameters and states in *pytrees*: nested tuples, lists and dicts with arrays as leaves.
`adjoint` keeps arrays by name. A `TreeForm` is what the two have in common, without the numbers:
the structure, and of each leaf its name, shape and dtype. A leaf is named by its path, as JAX
writes it, after the tree it is in: ``params['cell']['bias']``, ``carry[0]``.

An array of PRNG keys has no NumPy dtype. In memory it is the random bits it is made of; within a
traced function it is an array of keys again.
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
    """What one leaf is, in memory."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    keys: Any = None
    """The generator that the leaf's PRNG keys are for; None if it does not hold keys."""

    @classmethod
    def of(cls, leaf: Any) -> "LeafType":
        """Return the type that JAX gives to a value: without x64, float64 is float32.

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
        """Whether it has a derivative: integers, flags and keys have none."""
        return self.keys is None and bool(jnp.issubdtype(self.dtype, jnp.inexact))

    @property
    def traced_shape(self) -> tuple[int, ...]:
        """Shape as JAX sees it: the bits of a key are one entry."""
        return self.shape if self.keys is None else self.shape[:-1]

    def traced(self, array: Any) -> Any:
        """Return the leaf that is held in memory as `array`."""
        if self.keys is None:
            return array
        return jax.random.wrap_key_data(array, impl=self.keys)

    def struct(self, *leading: int) -> jax.ShapeDtypeStruct:
        """Return what JAX compiles for: the array in memory, with further axes before it."""
        return jax.ShapeDtypeStruct((*leading, *self.shape), self.dtype)


@dataclass(frozen=True, slots=True)
class TreeForm:
    """What a pytree is, without its numbers. Equal forms need no new compilation."""

    structure: Any
    names: tuple[str, ...]
    types: tuple[LeafType, ...]

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
                    f"{leaf_name} is of type {type(leaf).__name__}: the leaves of a pytree must "
                    "be arrays or numbers"
                ) from None
        return cls(structure, names, tuple(types))

    @property
    def differentiable(self) -> tuple[bool, ...]:
        """Which leaves have a derivative."""
        return tuple(leaf.differentiable for leaf in self.types)

    def structs(self) -> list[jax.ShapeDtypeStruct]:
        """Return what JAX compiles for."""
        return [leaf.struct() for leaf in self.types]

    def tree(self, arrays: Iterable[Any]) -> Any:
        """Return the tree of leaves that are held in memory as `arrays`."""
        pairs = zip(self.types, arrays, strict=True)
        return jax.tree.unflatten(self.structure, [leaf.traced(array) for leaf, array in pairs])

    def arrays(self, tree: Any) -> list[NDArray[Any]]:
        """Return the leaves of a tree of this form as they are in memory. Do not write to them."""
        pairs = zip(jax.tree.leaves(tree), self.types, strict=True)
        return [in_memory(leaf, kind) for leaf, kind in pairs]


def in_memory(leaf: Any, kind: LeafType) -> NDArray[Any]:
    """Return a leaf as a NumPy array of the dtype of `kind`; a view where nothing has to change."""
    return np.asarray(bits_of(leaf), dtype=kind.dtype)


def bits_of(leaf: Any) -> Any:
    """Return the random bits that an array of PRNG keys is made of; anything else as it is."""
    return jax.random.key_data(leaf) if holds_keys(leaf) else leaf


def chosen(leaves: Iterable[Value], flags: Iterable[bool]) -> list[Value]:
    """Return the leaves whose flag is set."""
    return [leaf for leaf, flag in zip(leaves, flags, strict=True) if flag]


def merged(
    leaves: Iterable[Value], flags: Iterable[bool], replaced: Sequence[Value]
) -> list[Value]:
    """Return `leaves` with those whose flag is set replaced, in order: undoes `chosen`."""
    others = iter(replaced)
    pairs = zip(leaves, flags, strict=True)
    return [next(others) if flag else leaf for leaf, flag in pairs]


def holds_keys(leaf: Any) -> bool:
    """Return whether a value is an array of PRNG keys."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
