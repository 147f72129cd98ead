"""Time per step of long sequences, relative to the prediction: a PyTorch LSTM, in little memory.

    python tests/benchmarks/torch_time_per_step.py [--steps 1000 10000 100000] [--memory "5.5 MiB"]

Inputs are made as they are read. Each row is a training step on a new sequence: microseconds a step
of it, the second of two; over what `adjoint.replay` says of the schedule on the costs that were
measured before; and over a forward and a backward pass of a short sequence by autograd, which is a
step's time where memory is no matter. *Factor* is how often a step is taken, by the schedule.
"""

import argparse
import time

import torch
from torch_memory import Task

from solvers.torch import TorchSequence

SHORT_STEPS = 200


def autograd_seconds(task: Task) -> float:
    """Return the seconds of a step by autograd: the better of two runs."""
    best = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        task.unrolled(SHORT_STEPS)
        best = min(best, (time.perf_counter() - began) / SHORT_STEPS)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--kind", choices=["nn.LSTMCell", "nn.LSTM"], default="nn.LSTMCell")
    parser.add_argument("--shape", default="256x16")
    parser.add_argument("--leaf", type=int, default=32)
    parser.add_argument("--memory", default="5.5 MiB")
    given = parser.parse_args()
    torch.set_num_threads(1)
    hidden, batch = map(int, given.shape.split("x"))
    task = Task(given.kind, hidden, batch)
    alone = autograd_seconds(task)
    print(
        f"{given.kind} {given.shape}, leaves of {given.leaf}, memory={given.memory!r}, one thread"
    )
    print(f"{'steps':>8}{'us/step':>10}{'predicted':>11}{'autograd':>10}{'factor':>8}   schedule")
    for num_steps in given.steps:
        with TorchSequence(
            task.cell,
            task.inputs,
            loss=task.loss,
            state=task.state,
            num_steps=num_steps,
            leaf_steps=given.leaf,
            memory=given.memory,
        ) as sequence:
            sequence.backward()
            sequence.backward()
            report = sequence.report
        each = report.seconds / num_steps
        print(
            f"{num_steps:8,}{1e6 * each:10.0f}{report.seconds / report.predicted_seconds:11.3f}"
            f"{each / alone:10.2f}{report.recomputation_factor:8.2f}   {report.schedule}",
            flush=True,
        )


if __name__ == "__main__":
    main()
