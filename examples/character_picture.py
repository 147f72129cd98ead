"""The picture that character_model.py ends with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Stage", "draw"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Updates with passages of one length."""

    length: int
    """Characters of a passage, all back-propagated through."""
    bits: Sequence[float]
    """Bits a character of the text learned, before every update."""
    held_out: float
    """Of the text held out, after the last."""
    graph_bytes: int
    """What autograd would keep for one passage of this length, on one rank."""
    used_bytes: int
    """What was kept instead."""


def draw(stages: Sequence[Stage], by_position: Mapping[int, NDArray[np.float64]], to: str) -> None:
    """Draw how learning went, what context is worth, and what memory it took."""
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    learning, context, memory = figure.subplots(1, 3)
    begun = 0
    for stage in stages:
        ends = begun + stage.length * np.arange(1, len(stage.bits) + 1)
        (line,) = learning.plot(ends, stage.bits, linewidth=1, label=f"{stage.length:,}")
        begun = int(ends[-1])
        learning.plot([begun], [stage.held_out], "o", color=line.get_color())
    learning.set(xlabel="steps back-propagated through", ylabel="bits a character")
    learning.legend(title="characters a passage\n(dots: text held out)")
    learning.set_title("learning")
    for length, bits in by_position.items():
        edges = np.unique(np.geomspace(1, len(bits) + 1, 16).astype(int)) - 1
        means = [bits[a:b].mean() for a, b in pairwise(edges)]
        context.plot((edges[:-1] + edges[1:]) / 2 + 1, means, ".-", label=f"{length:,}")
    context.set(xlabel="characters read before", ylabel="bits a character", xscale="log")
    context.legend(title="after learning passages of")
    context.set_title("what context is worth, text held out")
    lengths = [stage.length for stage in stages]
    kept = [stage.used_bytes / 2**20 for stage in stages]
    memory.plot(lengths, [stage.graph_bytes / 2**20 for stage in stages], "o-", label="autograd")
    memory.plot(lengths, kept, "o-", label="kept here")
    memory.set(xlabel="characters a passage", ylabel="MiB a rank", xscale="log", yscale="log")
    memory.legend()
    memory.set_title("memory for back-propagation")
    figure.savefig(to, dpi=110)
