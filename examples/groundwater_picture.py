"""The picture that groundwater_leak.py draws: the leak, true and found, its release, the search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["draw"]

Array = NDArray[np.float64]


def draw(
    truth: tuple[Array, Any, Array],
    found: tuple[Array, Any, Array],
    wells: Sequence[tuple[float, float]],
    releases: tuple[Array, Array, float],
    costs: Sequence[float],
    path: str,
) -> None:
    """Draw places, releases and the cost of every evaluation to a file.

    Parameters
    ----------
    truth, found
        Points, triangles and values of the true place of the leak and of the one found.
    wells
        Where readings were taken.
    releases
        The true release in each step, the one found, and the time of the last step.
    costs
        Of every evaluation.
    path
        Of the file.
    """
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes: Any = figure.subplots(2, 2).ravel()
    titles = ("the leak: true place", "the place found")
    for panel, (points, triangles, values), title in zip(
        axes, (truth, found), titles, strict=False
    ):
        filled = panel.tricontourf(
            points[:, 0], points[:, 1], triangles, values, 12, cmap="magma_r"
        )
        panel.plot(*np.array(wells).T, "k^", markersize=5, label="wells")
        panel.set(title=title, xlabel="x", ylabel="y", aspect="equal")
        panel.legend(loc="upper right")
        figure.colorbar(filled, ax=panel)
    true, guess, duration = releases
    t = duration * (np.arange(len(true)) + 0.5) / len(true)
    axes[2].plot(t, true / true.max(), "k--", label="true")
    axes[2].plot(t, guess / guess.max(), label="found")
    axes[2].set(title="release, over its largest", xlabel="time")
    axes[2].legend()
    axes[3].semilogy(costs, ".-")
    axes[3].set(title="the search", xlabel="evaluation", ylabel="misfit and prior")
    figure.savefig(path, dpi=100)
