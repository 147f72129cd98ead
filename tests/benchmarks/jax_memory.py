"""Memory of a gradient of a scan as the sequence grows, compared with JAX's own gradient.

    python tests/benchmarks/jax_memory.py [--steps 1000 2000 10000 100000] [--memory "3.05 MB"]

An LSTM in single precision, its inputs made as they are wanted; JAX's own gradient has them in one
array. A figure is of a process of its own: the most that was resident while a gradient was
computed (``VmHWM``), over what was resident before, with parameters, data and compiled programs
there and, of ours, a shorter gradient done, and with what the C library kept for later given back.
The default budget has no room for the carries of all leaves, not even of 1000 steps.

On a busy machine figures scatter by some megabytes, perhaps because XLA's threads then free a
program's memory only after the next one has begun; each is the least of its repeats. It needs Linux
and glibc.
"""

import argparse
import ctypes
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from jax_lstm import arguments, body, full_scan, loss, sequences

import solvers.jax

LEAF_STEPS = 50

WARM_STEPS = 1500
"""A gradient of so many steps is done before anything is measured."""

FULL_SCAN_MOST = 4e9
"""JAX's own gradient is left out where its program would take more bytes than this."""


def resident(name: str) -> int:
    """Return the bytes that are resident (VmRSS), or were at the most since `forget` (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def increase(gradient) -> int:
    """Return how much more is resident at the most during a call than before it."""
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    jax.block_until_ready(gradient())
    return resident("VmHWM") - before


def ours(num_steps: int, units: int, batch: int, memory: str) -> dict[str, float]:
    """Return the increase by our gradient, and what its report says."""
    params, carry0 = arguments(units, batch)
    block = sequences(4 * LEAF_STEPS, units, batch)

    def inputs(start: int, stop: int):
        return block[np.arange(start, stop) % len(block)]

    with solvers.jax.value_and_grad(
        body, loss, leaf_steps=LEAF_STEPS, memory=memory
    ) as value_and_grad:
        value_and_grad(params, carry0, inputs, length=WARM_STEPS)
        found = increase(lambda: value_and_grad(params, carry0, inputs, length=num_steps))
        return {"increase": found, "planned": value_and_grad.report.memory_bytes}


def full(num_steps: int, units: int, batch: int, memory: str) -> dict[str, float]:
    """Return the increase by JAX's own gradient, and what XLA says of its program."""
    del memory
    params, carry0 = arguments(units, batch)
    shape = jax.ShapeDtypeStruct((num_steps, batch, units), np.float32)
    gradient = jax.jit(jax.value_and_grad(full_scan)).lower(params, carry0, shape).compile()
    planned = gradient.memory_analysis().temp_size_in_bytes
    if planned > FULL_SCAN_MOST:
        return {"increase": np.nan, "planned": planned}
    xs = jax.numpy.asarray(sequences(num_steps, units, batch))
    return {"increase": increase(lambda: gradient(params, carry0, xs)), "planned": planned}


WAYS = {"ours": ours, "full": full}


def in_processes(repeats: int, way: str, *given: object) -> dict[str, float]:
    """Call one of `WAYS` in so many processes; return the figures of the least increase."""
    command = [sys.executable, __file__, "--measure", way, *map(str, given)]
    found: list[dict[str, float]] = []
    for _ in range(repeats):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return min(found, key=lambda figures: figures["increase"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 2000, 10_000, 100_000])
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--memory", default="3.05 MB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        way, num_steps, units, batch, memory = asked.measure
        print(json.dumps(WAYS[way](int(num_steps), int(units), int(batch), memory)))
        return
    print(f"LSTM of {asked.units} units, batch {asked.batch}, memory={asked.memory!r}; in MB")
    print(
        f"{'steps':>8}{'ours':>10}{'(planned)':>11}{'full scan':>11}{'(planned)':>11}{'ratio':>8}"
    )
    for num_steps in asked.steps:
        given = num_steps, asked.units, asked.batch, asked.memory
        mine, whole = (in_processes(asked.repeats, way, *given) for way in WAYS)
        row = [found[key] / 1e6 for found in (mine, whole) for key in ("increase", "planned")]
        ratio = mine["increase"] / whole["increase"]
        print(f"{num_steps:8}{row[0]:10.1f}{row[1]:11.1f}{row[2]:11.1f}{row[3]:11.1f}{ratio:8.3f}")


if __name__ == "__main__":
    main()
