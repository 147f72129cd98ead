"""Small PyTorch models, and their losses unrolled as a whole for autograd.

Sequences of unequal length are unrolled one by one, each to its own end: the oracle knows no masks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from solvers.torch import TorchSequence

NUM_STEPS = 23
LEAF_STEPS = 5
BATCH = 3
INPUTS = 4
HIDDEN = 6
CLASSES = 3
LENGTHS = (9, 23, 16)
KINDS = ("LSTMCell", "GRUCell", "own", "function", "LSTM", "GRU", "RNN")


class OwnCell(nn.Module):
    """A leaky layer over an LSTM cell: returns an output that is no part of its nested state."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.LSTMCell(INPUTS, HIDDEN)
        self.mix = nn.Linear(2 * HIDDEN, HIDDEN)
        self.leak = nn.Parameter(torch.tensor(0.3))

    def forward(self, inputs, state):
        below, slow = state
        below = self.below(inputs, below)
        fresh = torch.tanh(self.mix(torch.cat([below[0], slow], 1)))
        slow = slow + self.leak * (fresh - slow)
        return slow * below[0], (below, slow)


class ReadOut(nn.Module):
    """A read-out layer and its cross-entropy, one per row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(HIDDEN, CLASSES)

    def forward(self, outputs, targets):
        return cross_entropy(self.layer(outputs), targets, reduction="none")


@dataclass
class Model:
    """A model with data, whose loss depends on every parameter."""

    kind: str
    dtype: torch.dtype = torch.float64
    num_steps: int = NUM_STEPS
    batch: int = BATCH
    lengths: tuple[int, ...] | None = None
    seed: int = 0
    cell: Any = field(init=False)
    state: Any = field(init=False)

    def __post_init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.read_out = ReadOut().to(self.dtype)
            self.module = self._module().to(self.dtype)
            self.inputs = torch.randn(self.num_steps, self.batch, INPUTS, dtype=self.dtype)
            self.targets = torch.randint(CLASSES, (self.num_steps, self.batch))
            self.initial = [self._initial() for _ in range(self._num_tensors())]
        self.state = self._nested(self.initial)
        self.cell = self.step if self.kind == "function" else self.module

    @property
    def fused(self) -> bool:
        return isinstance(self.module, nn.RNNBase)

    @property
    def differentiated(self) -> list[torch.Tensor]:
        return [*self.module.parameters(), *self.read_out.parameters(), *self.initial]

    def sequence(self, **options) -> TorchSequence:
        """Return what is tested."""
        if self.kind == "function":
            options = {"modules": [self.module, self.read_out]} | options
            options["inputs"] = self.inputs, self.targets
        else:
            options = {"loss": self.read_out, "inputs": self.inputs} | options
            options.setdefault("targets", self.targets)
        options = {"state": self.state, "lengths": self.lengths, "leaf_steps": LEAF_STEPS} | options
        return TorchSequence(self.cell, **options)

    def step(self, state, inputs, step):
        """Return state and loss after a step that depends on its number."""
        row, target = inputs
        state = self.module(row * (1 + step % 2), state)
        return state, self.read_out(state[0], target)

    def loss(self) -> torch.Tensor:
        """Return the loss of the whole unroll."""
        if self.lengths is None:
            return self._loss_of(self.inputs, self.targets, self.state)
        losses = []
        for index, length in enumerate(self.lengths):
            one = slice(index, index + 1)
            axis = (slice(None), one) if self.fused else (one,)
            state = self._nested([tensor[axis] for tensor in self.initial])
            losses.append(
                self._loss_of(self.inputs[:length, one], self.targets[:length, one], state)
            )
        return torch.stack(losses).sum()

    def gradients(self) -> tuple[float, list[torch.Tensor]]:
        """Return the loss and its gradients by autograd; ``.grad`` is left alone."""
        loss = self.loss()
        return loss.item(), list(torch.autograd.grad(loss, self.differentiated))

    def _loss_of(self, inputs, targets, state) -> torch.Tensor:
        if self.fused:
            outputs, _ = self.module(inputs, state)
            return self.read_out(outputs.flatten(0, 1), targets.flatten()).sum()
        losses = []
        for step, (row, target) in enumerate(zip(inputs, targets, strict=True)):
            if self.kind == "function":
                state, loss = self.step(state, (row, target), step)
                losses.append(loss.sum())
                continue
            returned = self.module(row, state)
            output, state = returned if self.kind == "own" else (returned, returned)
            output = output[0] if isinstance(output, tuple) else output
            losses.append(self.read_out(output, target).sum())
        return torch.stack(losses).sum()

    def _module(self) -> nn.Module:
        kinds: dict[str, Callable[[], nn.Module]] = {
            "LSTMCell": lambda: nn.LSTMCell(INPUTS, HIDDEN),
            "GRUCell": lambda: nn.GRUCell(INPUTS, HIDDEN),
            "own": OwnCell,
            "function": lambda: nn.LSTMCell(INPUTS, HIDDEN),
            "LSTM": lambda: nn.LSTM(INPUTS, HIDDEN, 2),
            "GRU": lambda: nn.GRU(INPUTS, HIDDEN, 2),
            "RNN": lambda: nn.RNN(INPUTS, HIDDEN),
        }
        return kinds[self.kind]()

    def _num_tensors(self) -> int:
        return {"own": 3, "LSTMCell": 2, "function": 2, "LSTM": 2}.get(self.kind, 1)

    def _initial(self) -> torch.Tensor:
        layers = (self.module.num_layers,) if self.fused else ()
        return torch.randn(*layers, self.batch, HIDDEN, dtype=self.dtype).requires_grad_()

    def _nested(self, tensors):
        if self.kind == "own":
            return (tensors[0], tensors[1]), tensors[2]
        return tuple(tensors) if len(tensors) > 1 else tensors[0]


def gradients_of(sequence: TorchSequence, model: Model) -> tuple[float, list[torch.Tensor]]:
    """Return the loss and what one `backward` adds to ``.grad``."""
    for tensor in model.differentiated:
        tensor.grad = None
    loss = sequence.backward()
    return loss, [tensor.grad for tensor in model.differentiated]


def relative_error(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Return the largest error of any gradient, over that gradient's largest entry."""
    errors = [(f - e).abs().max() / e.abs().max() for f, e in zip(found, expected, strict=True)]
    return float(max(errors))
