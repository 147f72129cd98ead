"""Memory of a gradient of a PyTorch LSTM, compared with autograd on the whole unroll.

    python tests/benchmarks/torch_memory.py [--steps 1000 2000 100000] [--kind nn.LSTM] [--leaf 32]

Each figure is of a process of its own: the most memory that was resident while the gradient was
computed, less that before, after a warm-up (two steps, one at a time, of either way). Inputs are
made as they are read and there are no targets, so the data takes nothing. Full-unroll autograd is
shown beside it, for up to --full-to steps; beyond, what it takes a step is extrapolated. How much
of the heap lies idle between pieces that are in use is chance, and a short run has fewer chances:
for up to 10,000 steps, the most of three runs is given.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from adjoint.units import format_bytes
from solvers.torch import TorchSequence

STEP_KIB = {"nn.LSTMCell": 176, "nn.LSTM": 320}
"""A fifth more than the graph of one step takes, 256 x 16."""


SCATTERED = 10_000
"""Runs of so few steps are taken `--repeats` times, and the most counts."""


class Task:
    """An LSTM that is to give zeros, whatever it is given."""

    def __init__(self, kind: str, hidden: int, batch: int) -> None:
        torch.manual_seed(0)
        self.hidden, self.batch = hidden, batch
        self.fused = kind == "nn.LSTM"
        self.cell = (nn.LSTM if self.fused else nn.LSTMCell)(hidden, hidden)
        zeros = torch.zeros(*((1,) if self.fused else ()), batch, hidden)
        self.state = (zeros, zeros.clone())

    def inputs(self, start: int, stop: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(start)
        return torch.randn(stop - start, self.batch, self.hidden, generator=generator)

    @staticmethod
    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return outputs.square()

    def with_checkpoints(self, num_steps: int, leaf: int, memory: str) -> None:
        with TorchSequence(
            self.cell,
            self.inputs,
            loss=self.loss,
            state=self.state,
            num_steps=num_steps,
            leaf_steps=leaf,
            memory=memory,
        ) as sequence:
            sequence.backward()

    def unrolled(self, num_steps: int) -> None:
        state, losses = self.state, []
        for step in range(num_steps):
            row = self.inputs(step, step + 1)
            if self.fused:
                output, state = self.cell(row, state)
            else:
                state = self.cell(row[0], state)
                output = state[0]
            losses.append(self.loss(output).sum())
        torch.stack(losses).sum().backward()


def resident(field: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}: this needs Linux")


def measure(way: str, num_steps: int, given: argparse.Namespace) -> int:
    """Return the increase in this process."""
    torch.set_num_threads(1)
    hidden, batch = map(int, given.shape.split("x"))
    task = Task(given.kind, hidden, batch)
    task.unrolled(2)
    task.with_checkpoints(2, 1, given.memory)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    if way == "sequence":
        task.with_checkpoints(num_steps, given.leaf, given.memory)
    else:
        task.unrolled(num_steps)
    return resident("VmHWM") - before


def in_a_process(way: str, num_steps: int, given: argparse.Namespace) -> int:
    """Run `measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", way, str(num_steps), "--kind", given.kind]
    command += ["--shape", given.shape, "--leaf", str(given.leaf), "--memory", given.memory]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 2000, 10_000, 100_000])
    parser.add_argument("--kind", choices=["nn.LSTMCell", "nn.LSTM"], default="nn.LSTMCell")
    parser.add_argument("--shape", default="256x16")
    parser.add_argument("--leaf", type=int, default=32)
    parser.add_argument("--memory", help="by default a fifth more than a leaf")
    parser.add_argument("--full-to", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure[0], int(given.measure[1]), given)))
        return
    given.memory = given.memory or f"{STEP_KIB[given.kind] * given.leaf} KiB"
    print(f"{given.kind} {given.shape}, leaves of {given.leaf}, memory={given.memory!r}")
    print(f"{'steps':>8}{'sequence':>12}{'over first':>12}{'autograd':>12}{'share':>9}")
    first, of_a_step = 0, 0.0
    for num_steps in given.steps:
        runs = given.repeats if num_steps <= SCATTERED else 1
        found = max(in_a_process("sequence", num_steps, given) for _ in range(runs))
        first = first or found
        if num_steps <= given.full_to:
            full = in_a_process("autograd", num_steps, given)
            of_a_step = full / num_steps
        mark = "" if num_steps <= given.full_to else "~"
        full = of_a_step * num_steps
        print(
            f"{num_steps:8,}{format_bytes(found):>12}{found / first:12.2f}"
            f"{mark + format_bytes(full):>12}{found / full:9.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
