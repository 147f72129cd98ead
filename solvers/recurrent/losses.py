"""Losses of recurrent networks, each with the linear read-out it is reckoned from.

A loss sees the hidden states of the top layer after several steps at once, so the read-out is one
matrix product for all of them; it gives back one number a step. With ``y = V h + b``:

- `CrossEntropy`: the target is a class, ``-log softmax(y)[target]``, summed over sequences.
- `SquaredError`: the target is a vector, ``|y - target|^2 / 2``, summed over sequences.

Derivatives with respect to ``y`` are ``softmax(y) - onehot(target)`` and ``y - target``.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from adjoint.errors import ArgumentError
from adjoint.steppers import Arrays

__all__ = ["CrossEntropy", "Loss", "Readout", "SquaredError"]

Array = NDArray[Any]


class Loss(Protocol):
    """What a recurrent network needs of a loss.

    `hidden` is ``(steps, batch, hidden_size)``, `targets` ``(steps, batch, ...)``, as they were
    read. `alive`, ``(steps, batch)``, says which sequences count; None is all of them. What
    targets hold for sequences that do not count must have no effect.
    """

    @property
    def weights(self) -> Arrays:
        """Its own weights by name, with the network's dtype. Optimisers write in place."""
        ...

    def values(
        self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the loss of each step, summed over the sequences that count."""
        ...

    def pull_back(
        self,
        hidden: Array,
        targets: Array,
        alive: NDArray[np.bool_] | None,
        out: Array,
        gradient: Arrays,
    ) -> None:
        """Write the derivative of the sum of `values` with respect to `hidden` to `out`.

        Adds that with respect to the weights to `gradient`, which has their names.
        """
        ...

    def work_bytes(self, rows: int) -> int:
        """Memory it keeps for its own use with so many rows: steps times sequences."""
        ...


class Readout:
    """What losses have in common: a linear map of hidden states, with memory for its results.

    Parameters
    ----------
    hidden_size, output_size
        Entries of a hidden state and of a result.
    scale
        Multiplies the loss: one over steps times sequences makes it a mean.
    dtype
        That of the network.
    seed
        Of the initial weights, which are uniform in ``±1 / sqrt(hidden_size)``.

    Raises
    ------
    ArgumentError
        A size is less than one, or the scale is not finite.
    """

    def __init__(
        self,
        hidden_size: int,
        output_size: int,
        *,
        scale: float = 1.0,
        dtype: DTypeLike = np.float64,
        seed: int = 0,
    ) -> None:
        if hidden_size < 1 or output_size < 1:
            raise ArgumentError(
                f"a read-out of {hidden_size} to {output_size} entries: both must be at least one"
            )
        if not np.isfinite(scale):
            raise ArgumentError(f"scale must be finite, not {scale}")
        generator = np.random.default_rng(seed)
        bound = hidden_size**-0.5
        shapes = {"weight": (output_size, hidden_size), "bias": (output_size,)}
        self._weights = {
            name: generator.uniform(-bound, bound, shape).astype(dtype)
            for name, shape in shapes.items()
        }
        self.scale = float(scale)
        self._results = np.empty((0, output_size), dtype)

    @property
    def weights(self) -> Arrays:
        """The read-out's ``weight``, ``(output_size, hidden_size)``, and ``bias``."""
        return self._weights

    def predict(self, hidden: Array) -> Array:
        """Return ``V h + b`` for hidden states in the last axis of `hidden`, as a new array."""
        return self._read_out(hidden).copy().reshape(*hidden.shape[:-1], -1)

    def work_bytes(self, rows: int) -> int:
        """Memory for the results of so many rows."""
        return rows * self._results.shape[1] * self._results.itemsize

    def _read_out(self, hidden: Array) -> Array:
        flat = hidden.reshape(-1, hidden.shape[-1])
        if flat.shape[1] != self._weights["weight"].shape[1]:
            raise ArgumentError(
                f"hidden states have {flat.shape[1]} entries, but the read-out was made for "
                f"{self._weights['weight'].shape[1]}"
            )
        if len(self._results) < len(flat):
            self._results = np.empty((len(flat), self._results.shape[1]), self._results.dtype)
        results = self._results[: len(flat)]
        np.matmul(flat, self._weights["weight"].T, out=results)
        results += self._weights["bias"]
        return results

    def _transpose(self, hidden: Array, adjoint: Array, out: Array, gradient: Arrays) -> None:
        """Take the adjoint of results, one row each, to that of the hidden states."""
        flat = hidden.reshape(len(adjoint), -1)
        gradient["weight"][...] += adjoint.T @ flat
        gradient["bias"][...] += np.add.reduce(adjoint)
        np.matmul(adjoint, self._weights["weight"], out=out.reshape(len(adjoint), -1))


class CrossEntropy(Readout):
    """Minus the logarithm of the probability given to the right class.

    Targets are integers, ``(steps, batch)``, from zero on.
    """

    def values(
        self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the loss of each step."""
        scores, right = self._read_out(hidden), self._right(hidden, targets, alive)
        most = scores.max(axis=1)
        of_target = scores[np.arange(len(right)), right] - most
        scores -= most[:, None]
        np.exp(scores, out=scores)
        losses = np.log(scores.sum(axis=1)) - of_target
        return self.scale * _per_step(losses, targets.shape, alive)

    def pull_back(
        self,
        hidden: Array,
        targets: Array,
        alive: NDArray[np.bool_] | None,
        out: Array,
        gradient: Arrays,
    ) -> None:
        """Write the derivative with respect to `hidden`; add that to the weights'."""
        scores, right = self._read_out(hidden), self._right(hidden, targets, alive)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.arange(len(right)), right] -= 1
        scores *= self.scale
        if alive is not None:
            scores[~alive.ravel()] = 0
        self._transpose(hidden, scores, out, gradient)

    def _right(self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None) -> Array:
        if targets.shape != hidden.shape[:2] or targets.dtype.kind not in "iu":
            raise ArgumentError(
                f"targets have rows of shape {targets.shape[1:]} and dtype {targets.dtype}: they "
                f"must be {hidden.shape[1:2]} and integers, the class of each sequence"
            )
        right = targets.ravel() if alive is None else np.where(alive, targets, 0).ravel()
        classes = self._results.shape[1]
        if right.size and not (right.min() >= 0 and right.max() < classes):
            raise ArgumentError(
                f"targets are between {right.min()} and {right.max()}, "
                f"but there are {classes} classes, counted from 0"
            )
        return right


class SquaredError(Readout):
    """Half the squared distance of the read-out from the target.

    Targets are real, ``(steps, batch, output_size)``.
    """

    def values(
        self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the loss of each step."""
        apart = self._apart(hidden, targets, alive)
        losses = np.einsum("ij,ij->i", apart, apart)
        return 0.5 * self.scale * _per_step(losses, targets.shape, alive)

    def pull_back(
        self,
        hidden: Array,
        targets: Array,
        alive: NDArray[np.bool_] | None,
        out: Array,
        gradient: Arrays,
    ) -> None:
        """Write the derivative with respect to `hidden`; add that to the weights'."""
        apart = self._apart(hidden, targets, alive)
        apart *= self.scale
        self._transpose(hidden, apart, out, gradient)

    def _apart(self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None) -> Array:
        wanted = (*hidden.shape[:2], self._results.shape[1])
        if targets.shape != wanted or targets.dtype.kind not in "fiu":
            raise ArgumentError(
                f"targets have rows of shape {targets.shape[1:]} and dtype {targets.dtype}: they "
                f"must be {wanted[1:]} and real, one vector for each sequence"
            )
        apart = self._read_out(hidden)
        apart -= targets.reshape(apart.shape)
        if alive is not None:
            apart[~alive.ravel()] = 0
        return apart


def _per_step(
    losses: Array, shape: tuple[int, ...], alive: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Sum over sequences, in double precision."""
    losses = losses.reshape(shape[:2])
    if alive is not None:
        losses = np.where(alive, losses, 0)
    return losses.sum(axis=1, dtype=np.float64)
