"""The picture that tsunami_source.py draws, in six panels."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from adjoint.reporting import Event, Timeline
from solvers import SalishSea

__all__ = ["Picture"]

SHOWN_GAUGES = 4
COLOURS = {
    "Write": "tab:red",
    "Read": "tab:purple",
    "Advance": "tab:blue",
    "Record": "tab:orange",
    "PullBack": "tab:green",
}


class Picture:
    """A figure of six panels."""

    def __init__(self, sea: SalishSea, gauges: Mapping[str, tuple[int, ...]]) -> None:
        self._sea = sea
        self._gauges = gauges
        self._figure = Figure(figsize=(16, 10), layout="constrained")
        self._axes: Any = self._figure.subplots(2, 3)

    def draw_sources(self, truth: NDArray[Any], found: NDArray[Any]) -> None:
        """Draw the bathymetry with the gauges, the true source and the recovered one."""
        depth = self._sea.bathymetry
        axes = self._axes[0, 0]
        image = axes.pcolormesh(*self._extent(), np.where(depth > 0, depth, np.nan), cmap="Blues")
        self._figure.colorbar(image, ax=axes, label="depth, m")
        for name, (row, column) in self._gauges.items():
            place = self._sea.longitude[column], self._sea.latitude[row]
            axes.plot(*place, "r^", markersize=6)
            axes.annotate(name, place, fontsize=7, xytext=(3, 3), textcoords="offset points")
        axes.set_title("bathymetry and gauges")
        limit = float(np.abs(truth).max())
        panels = (("true source", truth), ("source recovered from the gauges", found))
        for axes, (title, field) in zip(self._axes[0, 1:], panels, strict=True):
            colours = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
            image = axes.pcolormesh(*self._extent(), field, **colours)
            axes.contour(*self._extent(), depth, levels=[0.0], colors="k", linewidths=0.6)
            self._figure.colorbar(image, ax=axes, label="initial elevation, m")
            axes.set_title(title)
        for axes in self._axes[0]:
            axes.set_facecolor("0.8")
            axes.set(xlabel="longitude, degrees east", ylabel="latitude, degrees north")
            axes.set_aspect(1 / np.cos(np.radians(self._sea.latitude.mean())))

    def draw_series(
        self, minutes: NDArray[Any], observed: NDArray[Any] | None, modelled: NDArray[Any]
    ) -> None:
        """Draw the series with the highest waves, observed and with the recovered source."""
        assert observed is not None
        axes = self._axes[1, 0]
        highest = np.argsort(np.abs(observed).max(axis=0))[::-1][:SHOWN_GAUGES]
        offset = 1.2 * float(np.abs(observed[:, highest]).max())
        for level, column in enumerate(highest):
            axes.plot(minutes, observed[:, column] - level * offset, ".", color="0.6", markersize=2)
            axes.plot(minutes, modelled[:, column] - level * offset, "tab:blue", linewidth=1)
            axes.text(minutes[-1], -level * offset, list(self._gauges)[column], ha="right")
        axes.set(xlabel="minutes", ylabel="elevation, m, with an offset per gauge")
        axes.set_title("gauges: observed (dots), recovered (lines)")

    def draw_search(self, misfits: list[float], noise: float) -> None:
        """Draw the misfit of every evaluation."""
        axes = self._axes[1, 1]
        axes.semilogy(misfits, "o-")
        axes.axhline(noise, color="0.5", linestyle="--", label="noise alone")
        axes.set(xlabel="gradient", ylabel="misfit")
        axes.set_title("L-BFGS-B")
        axes.legend()

    def draw_timeline(self, timeline: Timeline) -> None:
        """Draw one gradient on rank 0: steps over time; transfers are level at their state."""
        axes = self._axes[1, 2]
        events = [event for event in timeline if event.name in COLOURS]
        for name, colour in COLOURS.items():
            lines = [_line(event) for event in events if event.name == name]
            axes.add_collection(LineCollection(lines, colors=colour, label=name, linewidths=1.5))
        axes.autoscale()
        axes.set(xlabel="seconds", ylabel="step")
        axes.set_title("one gradient on rank 0")
        axes.legend(loc="upper right")

    def save(self, path: str) -> None:
        """Write the figure, in the format of the file's extension."""
        with mpl.rc_context({"savefig.dpi": 110}):
            self._figure.savefig(path)

    def _extent(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return self._sea.longitude, self._sea.latitude


def _line(event: Event) -> list[tuple[float, float]]:
    """Return an event as a line in time and step: downwards for pull-backs, level for transfers."""
    start, stop = event.start_step, event.stop_step
    if event.name == "PullBack":
        start, stop = stop, start
    return [(event.began, start), (event.ended, stop)]
