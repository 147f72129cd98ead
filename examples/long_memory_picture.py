"""The picture that long_memory.py draws, in three panels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Picture"]

Array = NDArray[np.float64]

COLOURS = {"exact": "tab:blue", "truncated": "tab:orange"}


class Picture:
    """A figure of three panels.

    Parameters
    ----------
    sums
        The targets of the test sequences.
    """

    def __init__(self, sums: Array) -> None:
        self._sums = sums
        self._figure = Figure(figsize=(15, 4.6), layout="constrained")
        self._axes: Any = self._figure.subplots(1, 3)

    def draw_search(self, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> None:
        """Draw the test error against iterations."""
        axes = self._axes[0]
        for name, (iterations, errors) in curves.items():
            axes.semilogy(iterations, errors, ".-", color=COLOURS[name], label=f"{name} gradient")
        axes.axhline(self._sums.var(), color="0.5", linestyle="--", label="predicting the mean")
        axes.set(xlabel="iterations of L-BFGS-B", title="mean squared error on test sequences")
        axes.legend()

    def draw_predictions(self, predictions: Mapping[str, Array]) -> None:
        """Draw the networks' predictions against the targets."""
        axes = self._axes[1]
        ends = [self._sums.min(), self._sums.max()]
        axes.plot(ends, ends, color="0.7", linewidth=1)
        for name, predicted in predictions.items():
            axes.plot(self._sums, predicted, ".", color=COLOURS[name], label=f"{name} gradient")
        axes.set(xlabel="sum of the marked numbers", ylabel="prediction")
        axes.set_title("predictions on test sequences")
        axes.legend()

    def draw_reach(self, norms: Array, leaf_steps: int, reading: int, window: int) -> None:
        """Draw the gradient with respect to the inputs, the steps with numbers, and the window."""
        axes = self._axes[2]
        steps = leaf_steps * (np.arange(len(norms)) + 0.5)
        end = leaf_steps * len(norms)
        axes.semilogy(steps, norms, color=COLOURS["exact"], drawstyle="steps-mid")
        axes.axvspan(0, reading, color="tab:green", alpha=0.4, label="steps with numbers")
        axes.axvspan(
            end - window, end, color=COLOURS["truncated"], alpha=0.2, label="truncated window"
        )
        axes.set(xlabel="step", title="norm of the gradient of the inputs, untrained")
        axes.legend()

    def save(self, path: str) -> None:
        """Write the picture to a file."""
        self._figure.savefig(path, dpi=110)
