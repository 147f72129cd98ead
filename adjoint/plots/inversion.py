"""Searches and posteriors of inverse problems."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from adjoint.errors import ArgumentError
from adjoint.inverse.history import Evaluation
from adjoint.inverse.posterior import LaplacePosterior

__all__ = ["draw_history", "draw_posterior"]


def draw_history(axes: Axes, history: Sequence[Evaluation], *, label: str = "cost") -> None:
    """Draw the least cost so far against evaluations, products with second derivatives included.

    Evaluations that were not finite are gaps. Call it once for each of several searches.

    Parameters
    ----------
    axes
        To draw on. Its scale and labels are set, its title and legend are not.
    history
        As in `adjoint.inverse.Found`.
    label
        Of the line.
    """
    costs = np.array([each.cost for each in history])
    numbers = 1 + np.flatnonzero(np.isfinite(costs))
    least = np.minimum.accumulate(costs[np.isfinite(costs)])
    axes.step(numbers, least, where="post", label=label)
    axes.set(yscale="log", xlabel="evaluations", ylabel="cost")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_posterior(axes: Axes, posterior: LaplacePosterior, name: str | None = None) -> None:
    """Draw the mean of an unknown with two standard deviations, before and after the data.

    An unknown with two axes is drawn as a picture of its standard deviation. Every standard
    deviation takes as many applications of the prior's covariance as there are parameters.

    Parameters
    ----------
    axes
        To draw on. Its labels are set, its title and legend are not.
    posterior
        What `adjoint.inverse.laplace` has returned.
    name
        The unknown; None if there is one only.

    Raises
    ------
    ArgumentError
        There is no such unknown, or it has more than two axes.
    """
    means, after = posterior.split(posterior.mean), posterior.split(posterior.variance())
    name = next(iter(means)) if name is None and len(means) == 1 else name
    if name not in means or means[name].ndim not in {1, 2}:
        raise ArgumentError(
            f"draw_posterior takes one unknown with one or two axes, not {name!r}: "
            f"there are {', '.join(means)}"
        )
    mean, spread = means[name], 2 * np.sqrt(after[name])
    if mean.ndim == 2:
        image = axes.imshow(0.5 * spread, origin="lower")
        axes.figure.colorbar(image, ax=axes, label=f"standard deviation of {name}")
        return
    before = 2 * np.sqrt(posterior.split(posterior.prior_variance())[name])
    where = np.arange(mean.size)
    axes.fill_between(where, mean - before, mean + before, color="0.9", label="prior")
    axes.fill_between(where, mean - spread, mean + spread, color="#56B4E9", label="posterior")
    axes.plot(where, mean, color="#0072B2")
    axes.set(xlabel="entry", ylabel=f"parameter of {name}, ± 2 standard deviations")
