"""The arguments of one evaluation of a scan, checked before anything is compiled or computed."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

from adjoint.errors import ArgumentError, StepperError
from solvers.jax.leaf import Forms, Model
from solvers.jax.rows import RowTree
from solvers.jax.trees import TreeForm
from solvers.sequences import Lengths

__all__ = ["Batch", "settled_forms"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Parameters, initial carry and data of one evaluation. Arrays are the caller's, not copies."""

    params: Any
    carry0: Any
    xs: RowTree
    targets: RowTree
    final_target: Any
    lengths: Lengths | None
    num_steps: int
    forms: Forms
    """Forms of the arguments as given; see `settled_forms` for the carry."""

    @classmethod
    def of(
        cls,
        model: Model,
        params: Any,
        carry0: Any,
        xs: Any = None,
        targets: Any = None,
        *,
        final_target: Any = None,
        length: int | None = None,
        lengths: ArrayLike | None = None,
    ) -> "Batch":
        """Check the arguments and determine the number of steps.

        Raises
        ------
        ArgumentError, StepperError
            Rows are missing or have the wrong form, lengths are inconsistent, or a leaf is not an
            array.
        """
        rows = RowTree(xs, "xs"), RowTree(targets, "targets")
        carry = TreeForm.of(carry0, "carry")
        ends, axes = _batched(model, carry, lengths)
        forms = Forms(
            params=TreeForm.of(params, "params"),
            carry=carry,
            xs=rows[0].form,
            targets=rows[1].form,
            final_target=TreeForm.of(final_target, "final_target"),
            batch=None if ends is None else ends.steps.size,
            batch_axes=axes,
        )
        num_steps = _num_steps(rows, length, ends)
        return cls(params, carry0, *rows, final_target, ends, num_steps, forms)

    @property
    def end(self) -> int:
        """From this step on no rows are read, and steps leave the carry unchanged."""
        return self.num_steps if self.lengths is None else self.lengths.longest


def settled_forms(model: Model, batch: Batch) -> Forms:
    """Return the forms of the arguments, with dtypes of the carry as they are after a step.

    As in ``lax.scan``, a number without a dtype of its own, such as 0.0, takes that of the body's
    result.

    Raises
    ------
    StepperError
        The body does not return a carry of the form of the one it took, and a result.
    """
    forms = batch.forms

    def first(params: Any, carry: Any, rows: list[Any]) -> Any:
        return model.body(params, carry, forms.xs.tree(rows))

    def scan(params: Any, carry: Any, rows: list[Any]) -> Any:
        return lax.scan(partial(first, params), carry, rows, length=1)[0]

    # An error inside the body is raised here as JAX raises it, before the carry is checked.
    jax.eval_shape(first, batch.params, batch.carry0, [leaf.struct() for leaf in forms.xs.types])
    rows = [leaf.struct(1) for leaf in forms.xs.types]
    try:
        after = jax.eval_shape(scan, batch.params, batch.carry0, rows)
    except TypeError as error:
        raise StepperError(
            "step 0: the body must return a pair: a carry with the structure, shapes and dtypes of "
            f"the one it was called with, and a result. {error}"
        ) from error
    types = [
        replace(leaf, dtype=new.dtype) if leaf.keys is None else leaf
        for leaf, new in zip(forms.carry.types, jax.tree.leaves(after), strict=True)
    ]
    return replace(forms, carry=replace(forms.carry, types=tuple(types)))


def _num_steps(rows: Sequence[RowTree], length: int | None, lengths: Lengths | None) -> int:
    """Return the number of steps: `length`, or else the number of rows."""
    known = [tree.num_rows for tree in rows if tree.num_rows is not None]
    if length is None and not known:
        raise ArgumentError("the number of steps does not follow from xs or targets: give length=")
    steps = _steps(max(known) if length is None else length)
    if lengths is not None:
        lengths.check_end(steps)
    end = steps if lengths is None else lengths.longest
    for tree in rows:
        tree.check_end(end)
    return steps


def _steps(length: Any) -> int:
    """Return a number of steps as an integer."""
    try:
        steps = operator.index(length)
    except TypeError:
        raise ArgumentError(f"length must be an integer, not {length!r}") from None
    if steps < 1:
        raise ArgumentError(f"length={steps}: must be at least one step")
    return steps


def _batched(
    model: Model, carry: TreeForm, lengths: ArrayLike | None
) -> tuple[Lengths | None, tuple[int | None, ...]]:
    """Return the lengths, and the axis of each leaf of the carry that counts sequences."""
    if lengths is None:
        return None, ()
    ends = Lengths.of(lengths, np.size(lengths))
    axes = _axes_per_leaf(model.batch_axes, carry)
    for name, leaf, axis in zip(carry.names, carry.types, axes, strict=True):
        if axis is not None and leaf.traced_shape[axis:][:1] != (ends.steps.size,):
            raise ArgumentError(
                f"{name} has shape {leaf.shape}, but lengths has {ends.steps.size} sequences: give "
                "in batch_axes the axis that counts them, or None for a leaf without one"
            )
    return ends, axes


def _axes_per_leaf(prefix: Any, carry: TreeForm) -> tuple[int | None, ...]:
    """Return the axis of each leaf of the carry, given a pytree prefix."""
    tree = jax.tree.unflatten(carry.structure, carry.names)
    axes: list[int | None] = []

    def spread(axis: int | None, part: Any) -> None:
        axes.extend([axis] * len(jax.tree.leaves(part)))

    try:
        jax.tree.map(spread, prefix, tree, is_leaf=lambda node: node is None)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"batch_axes={prefix!r} is not a prefix of the carry's tree {carry.structure}: {error}"
        ) from None
    return tuple(axes)
