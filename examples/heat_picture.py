"""The picture that heat_conductivity.py draws, in four panels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Picture"]

SHOWN_THERMOMETERS = 4


class Picture:
    """A figure of four panels, for a plate of `count` cells along each side."""

    def __init__(self, count: int) -> None:
        self._edges = np.linspace(0, 1, count + 1)
        self._figure = Figure(figsize=(12, 10), layout="constrained")
        self._axes: Any = self._figure.subplots(2, 2)

    def draw_conductivities(
        self, truth: NDArray[Any], found: NDArray[Any], cells: Sequence[tuple[int, ...]]
    ) -> None:
        """Draw the true conductivity with the thermometers, and the recovered one."""
        panels = (("true conductivity", truth), ("recovered from the thermometers", found))
        limit = float(np.abs(truth).max())
        places = (np.array(cells) + 0.5) / truth.shape[0]
        for axes, (title, values) in zip(self._axes[0], panels, strict=True):
            image = axes.pcolormesh(
                self._edges, self._edges, values, cmap="RdBu_r", vmin=-limit, vmax=limit
            )
            axes.plot(places[:, 1], places[:, 0], "k^", markersize=3)
            self._figure.colorbar(image, ax=axes, label="logarithm of the conductivity")
            axes.set(title=title, xlabel="x", ylabel="y", aspect="equal")

    def draw_readings(
        self, times: Sequence[float], observed: NDArray[Any], modelled: NDArray[Any]
    ) -> None:
        """Draw readings of some thermometers, observed and of the recovered plate."""
        axes = self._axes[1, 0]
        chosen = np.linspace(0, observed.shape[1] - 1, SHOWN_THERMOMETERS).round().astype(int)
        for index, sensor in enumerate(chosen):
            axes.plot(times, observed[:, sensor], f"C{index}.", label=f"thermometer {sensor + 1}")
            axes.plot(times, modelled[:, sensor], f"C{index}-", linewidth=1)
        axes.set(
            title="readings: observed (dots), recovered (lines)",
            xlabel="time",
            ylabel="temperature",
        )
        axes.legend(fontsize=8)

    def draw_search(self, misfits: Sequence[float], noise: float) -> None:
        """Draw the misfit of every evaluation, and that of noise alone."""
        axes = self._axes[1, 1]
        axes.semilogy(misfits, "k-")
        axes.axhline(noise, color="C1", linestyle="--", label="noise alone")
        axes.set(title="the search", xlabel="gradients", ylabel="misfit")
        axes.legend()

    def save(self, path: str) -> None:
        """Write the figure to a file."""
        self._figure.savefig(path, dpi=110)
