"""The picture that character_model.py draws."""

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
    """Characters of a passage."""
    bits: Sequence[float]
    """Bits per character of the training text, before every update."""
    held_out: float
    """Bits per character of the held-out text, after the last update."""
    graph_bytes: int
    """Memory of autograd's graph over one passage of this length, on one rank."""
    used_bytes: int
    """Memory used instead."""


def draw(stages: Sequence[Stage], by_position: Mapping[int, NDArray[np.float64]], to: str) -> None:
    """Draw the training loss, the value of context, and the memory used."""
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    learning, context, memory = figure.subplots(1, 3)
    begin = 0
    for stage in stages:
        ends = begin + stage.length * np.arange(1, len(stage.bits) + 1)
        (line,) = learning.plot(ends, stage.bits, linewidth=1, label=f"{stage.length:,}")
        begin = int(ends[-1])
        learning.plot([begin], [stage.held_out], "o", color=line.get_color())
    learning.set(xlabel="steps of back-propagation", ylabel="bits per character")
    learning.legend(title="characters per passage\n(dots: held-out text)")
    learning.set_title("training")
    for length, bits in by_position.items():
        edges = np.unique(np.geomspace(1, len(bits) + 1, 16).astype(int)) - 1
        means = [bits[a:b].mean() for a, b in pairwise(edges)]
        context.plot((edges[:-1] + edges[1:]) / 2 + 1, means, ".-", label=f"{length:,}")
    context.set(xlabel="preceding characters", ylabel="bits per character", xscale="log")
    context.legend(title="after training with passages of")
    context.set_title("value of context, held-out text")
    lengths = [stage.length for stage in stages]
    kept = [stage.used_bytes / 2**20 for stage in stages]
    memory.plot(lengths, [stage.graph_bytes / 2**20 for stage in stages], "o-", label="autograd")
    memory.plot(lengths, kept, "o-", label="adjoint")
    memory.set(xlabel="characters per passage", ylabel="MiB per rank", xscale="log", yscale="log")
    memory.legend()
    memory.set_title("memory for back-propagation")
    figure.savefig(to, dpi=110)
