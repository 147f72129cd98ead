"""Losses of recurrent networks, each with its linear read-out.

A loss takes the hidden states of the top layer for several steps at once, so that the read-out
``y = V h + b`` is one matrix product, and returns one number per step, summed over sequences:

- `CrossEntropy`: ``-log softmax(y)[target]``, where the target is a class;
- `SquaredError`: ``|y - target|^2 / 2``, where the target is a vector.

Their derivatives with respect to ``y`` are ``softmax(y) - onehot(target)`` and ``y - target``.
"""

from copy import copy
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from adjoint.errors import ArgumentError
from adjoint.steppers import Arrays

__all__ = ["CrossEntropy", "Loss", "Readout", "SquaredError"]

Array = NDArray[Any]


class Loss(Protocol):
    """The loss of a recurrent network.

    `hidden` has shape ``(steps, batch, hidden_size)``, and `targets`, as read from their source,
    ``(steps, batch, ...)``. `alive`, of shape ``(steps, batch)``, masks the sequences that count;
    None means all. Targets of sequences that do not count must have no effect.
    """

    @property
    def weights(self) -> Arrays:
        """The weights of the loss by name, in the network's dtype. Optimisers write in place."""
        ...

    def values(
        self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the loss of each step, summed over sequences."""
        ...

    def pull_back(
        self,
        hidden: Array,
        targets: Array,
        alive: NDArray[np.bool_] | None,
        out: Array,
        gradient: Arrays,
    ) -> None:
        """Write to `out` the derivative of the sum of `values` with respect to `hidden`.

        Adds the derivatives with respect to the weights to `gradient`, by name.
        """
        ...

    def work_bytes(self, rows: int) -> int:
        """Return the size of the working memory for `rows` rows: steps times sequences."""
        ...


class Readout:
    """The base class of losses: a linear read-out of hidden states, and its working memory.

    Parameters
    ----------
    hidden_size, output_size
        Entries of a hidden state and of an output.
    scale
        Factor of the loss: ``1 / (steps * sequences)`` makes it a mean.
    dtype
        Dtype of the network.
    seed
        Seed of the initial weights, which are uniform in ``±1 / sqrt(hidden_size)``.

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
                f"hidden_size={hidden_size}, output_size={output_size}: both must be at least one"
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

    def twin(self, weights: Arrays) -> "Readout":
        """Return the same loss of complex hidden states, with these weights."""
        twin = copy(self)
        results = np.empty((0, self._results.shape[1]), weights["bias"].dtype)
        vars(twin).update(_weights=dict(weights), _results=results)
        return twin

    @property
    def weights(self) -> Arrays:
        """The read-out's ``weight``, ``(output_size, hidden_size)``, and ``bias``."""
        return self._weights

    def work_bytes(self, rows: int) -> int:
        """Return the size of the outputs of `rows` rows."""
        return rows * self._results.shape[1] * self._results.itemsize

    def _read_out(self, hidden: Array) -> Array:
        flat = hidden.reshape(-1, hidden.shape[-1])
        if flat.shape[1] != self._weights["weight"].shape[1]:
            raise ArgumentError(
                f"hidden states have {flat.shape[1]} entries, but the loss was constructed with "
                f"hidden_size={self._weights['weight'].shape[1]}"
            )
        if len(self._results) < len(flat):
            self._results = np.empty((len(flat), self._results.shape[1]), self._results.dtype)
        results = self._results[: len(flat)]
        np.matmul(flat, self._weights["weight"].T, out=results)
        results += self._weights["bias"]
        return results

    def _transpose(self, hidden: Array, adjoint: Array, out: Array, gradient: Arrays) -> None:
        """Transpose the read-out: `adjoint` has one row per output."""
        flat = hidden.reshape(len(adjoint), -1)
        gradient["weight"][...] += adjoint.T @ flat
        gradient["bias"][...] += np.add.reduce(adjoint)
        np.matmul(adjoint, self._weights["weight"], out=out.reshape(len(adjoint), -1))


class CrossEntropy(Readout):
    """Minus the logarithm of the probability assigned to the target class.

    Targets are integers from 0, of shape ``(steps, batch)``.
    """

    def values(
        self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the loss of each step."""
        scores, classes = self._read_out(hidden), self._classes(hidden, targets, alive)
        largest = scores.max(axis=1)
        of_target = scores[np.arange(len(classes)), classes] - largest
        scores -= largest[:, None]
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
        scores, classes = self._read_out(hidden), self._classes(hidden, targets, alive)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.arange(len(classes)), classes] -= 1
        scores *= self.scale
        if alive is not None:
            scores[~alive.ravel()] = 0
        self._transpose(hidden, scores, out, gradient)

    def _classes(self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None) -> Array:
        if targets.shape != hidden.shape[:2] or targets.dtype.kind not in "iu":
            raise ArgumentError(
                f"targets have rows of shape {targets.shape[1:]} and dtype {targets.dtype}: rows "
                f"must be integers of shape {hidden.shape[1:2]}, the class of each sequence"
            )
        classes = targets.ravel() if alive is None else np.where(alive, targets, 0).ravel()
        num_classes = self._results.shape[1]
        if classes.size and not (classes.min() >= 0 and classes.max() < num_classes):
            raise ArgumentError(
                f"targets are between {classes.min()} and {classes.max()}, "
                f"but there are {num_classes} classes, counted from 0"
            )
        return classes


class SquaredError(Readout):
    """Half the squared distance of the output from the target.

    Targets are real, of shape ``(steps, batch, output_size)``.
    """

    def values(
        self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the loss of each step."""
        misfit = self._misfit(hidden, targets, alive)
        losses = np.einsum("ij,ij->i", misfit, misfit)
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
        misfit = self._misfit(hidden, targets, alive)
        misfit *= self.scale
        self._transpose(hidden, misfit, out, gradient)

    def _misfit(self, hidden: Array, targets: Array, alive: NDArray[np.bool_] | None) -> Array:
        shape = (*hidden.shape[:2], self._results.shape[1])
        if targets.shape != shape or targets.dtype.kind not in "fiu":
            raise ArgumentError(
                f"targets have rows of shape {targets.shape[1:]} and dtype {targets.dtype}: rows "
                f"must be real, of shape {shape[1:]}, one vector for each sequence"
            )
        misfit = self._read_out(hidden)
        misfit -= targets.reshape(misfit.shape)
        if alive is not None:
            misfit[~alive.ravel()] = 0
        return misfit


def _per_step(
    losses: Array, shape: tuple[int, ...], alive: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return the losses summed over sequences, in double precision."""
    losses = losses.reshape(shape[:2])
    if alive is not None:
        losses = np.where(alive, losses, 0)
    return losses.sum(axis=1, dtype=np.float64)
