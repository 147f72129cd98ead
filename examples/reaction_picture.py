"""The picture that reaction_diffusion.py draws: four states and the search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["draw"]

TITLES = ("true initial state", "first guess", "observed final state", "recovered initial state")


def draw(
    states: Sequence[NDArray[Any]], misfits: Sequence[float], noise_alone: float, path: str
) -> None:
    """Draw v of four states, and the misfit of every evaluation, to a file."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    axes: Any = figure.subplots(2, 3).ravel()
    highest = max(float(state.max()) for state in states)
    for panel, state, title in zip(axes, states, TITLES, strict=False):
        image = panel.imshow(state, origin="lower", cmap="viridis", vmin=0, vmax=highest)
        panel.set_title(title)
        panel.set(xlabel="x, cells", ylabel="y, cells")
        figure.colorbar(image, ax=panel, label="v")
    error = states[3] - states[0]
    reach = float(np.abs(error).max()) or 1.0
    image = axes[4].imshow(error, origin="lower", cmap="RdBu_r", vmin=-reach, vmax=reach)
    axes[4].set_title("error of the recovered state")
    axes[4].set(xlabel="x, cells", ylabel="y, cells")
    figure.colorbar(image, ax=axes[4], label="v")
    axes[5].semilogy(misfits, ".-")
    axes[5].axhline(noise_alone, color="0.5", linestyle="--", label="noise alone")
    axes[5].set(xlabel="evaluation", ylabel="misfit", title="the search")
    axes[5].legend()
    figure.savefig(path, dpi=100)
