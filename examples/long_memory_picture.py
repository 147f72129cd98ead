"""The picture that long_memory.py ends with: three panels, one question each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Picture"]

Array = NDArray[np.float64]

COLOURS = {"exact": "tab:blue", "truncated": "tab:orange"}


class Picture:
    """Panels on one figure, drawn one after another.

    Parameters
    ----------
    sums
        What was to be learnt, for the sequences that were not trained on.
    """

    def __init__(self, sums: Array) -> None:
        self._sums = sums
        self._figure = Figure(figsize=(15, 4.6), layout="constrained")
        self._axes: Any = self._figure.subplots(1, 3)

    def draw_search(self, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> None:
        """Draw the error against iterations."""
        axes = self._axes[0]
        for name, (iterations, errors) in curves.items():
            axes.semilogy(iterations, errors, ".-", color=COLOURS[name], label=f"{name} gradient")
        axes.axhline(self._sums.var(), color="0.5", linestyle="--", label="always saying the mean")
        axes.set(xlabel="iterations of L-BFGS-B", title="mean squared error, sequences not seen")
        axes.legend()

    def draw_predictions(self, predictions: Mapping[str, Array]) -> None:
        """Draw what the networks say against what is right."""
        axes = self._axes[1]
        ends = [self._sums.min(), self._sums.max()]
        axes.plot(ends, ends, color="0.7", linewidth=1)
        for name, said in predictions.items():
            axes.plot(self._sums, said, ".", color=COLOURS[name], label=f"{name} gradient")
        axes.set(xlabel="sum of the marked numbers", ylabel="the network's answer")
        axes.set_title("answers, sequences not seen")
        axes.legend()

    def draw_reach(self, norms: Array, leaf_steps: int, reading: int, window: int) -> None:
        """Draw how the cost depends on each step, and where the numbers and the window are."""
        axes = self._axes[2]
        steps = leaf_steps * (np.arange(len(norms)) + 0.5)
        end = leaf_steps * len(norms)
        axes.semilogy(steps, norms, color=COLOURS["exact"], drawstyle="steps-mid")
        axes.axvspan(0, reading, color="tab:green", alpha=0.4, label="where the numbers are")
        axes.axvspan(
            end - window, end, color=COLOURS["truncated"], alpha=0.2, label="what truncation sees"
        )
        axes.set(xlabel="step", title="size of the gradient of the inputs, untrained")
        axes.legend()

    def save(self, path: str) -> None:
        """Write the picture to a file."""
        self._figure.savefig(path, dpi=110)
