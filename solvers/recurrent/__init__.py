"""Recurrent networks in NumPy, with hand-derived adjoints."""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.recurrent.cells import GRU, LSTM, Tanh
    from solvers.recurrent.layer import Layer
    from solvers.recurrent.losses import CrossEntropy, Loss, Readout, SquaredError
    from solvers.recurrent.network import RecurrentNetwork

__all__ = [
    "GRU",
    "LSTM",
    "CrossEntropy",
    "Layer",
    "Loss",
    "Readout",
    "RecurrentNetwork",
    "SquaredError",
    "Tanh",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "GRU": "cells",
        "LSTM": "cells",
        "Tanh": "cells",
        "CrossEntropy": "losses",
        "Layer": "layer",
        "Loss": "losses",
        "Readout": "losses",
        "RecurrentNetwork": "network",
        "SquaredError": "losses",
    },
)
