"""PyTorch's LSTMCell over random inputs, as a stepper and as plain autograd runs it."""

import time

import torch

from solvers.torch import TorchSequence

BATCH = 16


class Task:
    """A cell, inputs and targets; the state has float32 `h` and `c`."""

    def __init__(self, state_bytes: int, num_steps: int) -> None:
        torch.manual_seed(0)
        self.hidden = state_bytes // (2 * 4 * BATCH)
        self.cell = torch.nn.LSTMCell(self.hidden, self.hidden)
        self.inputs = torch.randn(num_steps, BATCH, self.hidden)
        self.targets = torch.randn(num_steps, BATCH, self.hidden)
        zeros = torch.zeros(BATCH, self.hidden)
        self.state = (zeros, zeros)

    @staticmethod
    def loss(outputs, targets):
        return (outputs - targets).square()

    def plain_backward(self) -> float:
        """Return the seconds of a forward and a backward pass of the whole unroll by autograd."""
        self.cell.zero_grad(set_to_none=True)
        began = time.perf_counter()
        state, outputs = self.state, []
        for row in self.inputs.unbind(0):
            state = self.cell(row, state)
            outputs.append(state[0])
        self.loss(torch.stack(outputs), self.targets).sum().backward()
        return time.perf_counter() - began


def lstm(state_bytes: int, num_steps: int, leaf: int | None):
    """Return the stepper that `TorchSequence` makes of a task."""
    task = Task(state_bytes, num_steps)
    leaves = {} if leaf is None else {"leaf_steps": leaf}
    sequence = TorchSequence(
        task.cell, task.inputs, task.targets, loss=task.loss, state=task.state, **leaves
    )
    sequence.stepper.sequence = sequence  # whose `Functional` is not used, lives as long
    return sequence.stepper
