"""Time of a gradient of a PyTorch LSTM, relative to autograd on the whole unroll, on the CPU.

    python tests/benchmarks/torch_speed.py [--steps 2000] [--shapes 256x16 1024x64] [--repeats 3]

Columns, all of one run, interleaved, each the best of its repeats:

F0, F, B    seconds of full-unroll autograd: forward without a graph, forward, backward
bound       1.1 (F0 + F + B) / (F + B): what is allowed
sequence    `TorchSequence`, over F + B: every leaf's start kept (`memory` says how much that is)
checkpoint  `torch.utils.checkpoint` over segments of the same number of steps, over F + B
ratio       sequence over checkpoint: at most 1.05

A row is left without what does not fit: ``--no-full`` leaves out full-unroll autograd.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from solvers.torch import TorchSequence


class Task:
    """An LSTM that is to reproduce random targets: cell by cell, or fused."""

    def __init__(self, kind: str, hidden: int, batch: int, num_steps: int) -> None:
        torch.manual_seed(0)
        self.fused = kind == "nn.LSTM"
        self.cell = (nn.LSTM if self.fused else nn.LSTMCell)(hidden, hidden)
        self.inputs = torch.randn(num_steps, batch, hidden)
        self.targets = torch.randn(num_steps, batch, hidden)
        zeros = torch.zeros(*((1,) if self.fused else ()), batch, hidden)
        self.state = (zeros, zeros)

    @staticmethod
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).square()

    def segment(self, inputs: torch.Tensor, targets: torch.Tensor, h, c):
        """Return state and loss after some steps, as a user of autograd would write it."""
        state = (h, c)
        if self.fused:
            outputs, state = self.cell(inputs, state)
        else:
            rows = []
            for row in inputs.unbind(0):
                state = self.cell(row, state)
                rows.append(state[0])
            outputs = torch.stack(rows)
        return (*state, self.loss(outputs, targets).sum())

    def checkpointed(self, length: int) -> torch.Tensor:
        """Return the loss, with every segment checkpointed."""
        (h, c), losses = self.state, []
        pieces = zip(self.inputs.split(length), self.targets.split(length), strict=True)
        for inputs, targets in pieces:
            h, c, loss = checkpoint(self.segment, inputs, targets, h, c, use_reentrant=False)
            losses.append(loss)
        return torch.stack(losses).sum()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(task: Task, given: argparse.Namespace, best: dict[str, float]) -> None:
    """Take every figure once more; keep the best."""

    def note(name: str, work: Callable[[], object]) -> None:
        best[name] = min(best.get(name, 1e9), seconds(work))

    def forward() -> torch.Tensor:
        return task.segment(task.inputs, task.targets, *task.state)[-1]

    if not given.no_full:
        with torch.no_grad():
            note("F0", forward)
        losses: list[torch.Tensor] = []
        note("F", lambda: losses.append(forward()))
        note("B", losses.pop().backward)
    note("checkpoint", lambda: task.checkpointed(given.leaf).backward())
    note("sequence", given.sequence.backward)


def row(kind: str, hidden: int, batch: int, given: argparse.Namespace) -> str:
    task, best = Task(kind, hidden, batch, given.steps), {}
    options = {"leaf_steps": given.leaf, "memory": given.memory}
    with TorchSequence(
        task.cell, task.inputs, task.targets, loss=task.loss, state=task.state, **options
    ) as given.sequence:
        given.sequence.backward()  # measures and plans
        for _ in range(given.repeats):
            measure(task, given, best)
        used = given.sequence.report.memory_bytes / 2**20
        words = given.sequence.report.schedule
    full = best.get("F", float("nan")) + best.get("B", float("nan"))
    bound = 1.1 * (best.get("F0", float("nan")) + full) / full
    figures = [best.get(name, float("nan")) for name in ("F0", "F", "B")]
    figures += [bound, best["sequence"] / full, best["checkpoint"] / full]
    figures += [best["sequence"] / best["checkpoint"], best["sequence"] / given.steps * 1e6]
    text = "".join(f"{figure:10.3g}" for figure in figures)
    return f"{kind:12}{hidden}x{batch:<6}{text}{used:9.0f}   {words}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--shapes", nargs="+", default=["256x16", "1024x64"])
    parser.add_argument("--kinds", nargs="+", default=["nn.LSTMCell", "nn.LSTM"])
    parser.add_argument("--leaf", type=int, default=32)
    parser.add_argument("--memory", default="1 GiB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-full", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    names = ("F0", "F", "B", "bound", "sequence", "checkp.", "ratio", "us/step")
    head = "".join(f"{name:>10}" for name in names)
    print(f"{given.steps} steps, leaves of {given.leaf}, {given.threads} threads")
    print(f"{'cell':12}{'shape':8}{head}{'MiB':>9}   schedule")
    for kind in given.kinds:
        for shape in given.shapes:
            hidden, batch = map(int, shape.split("x"))
            print(row(kind, hidden, batch, given), flush=True)


if __name__ == "__main__":
    main()
