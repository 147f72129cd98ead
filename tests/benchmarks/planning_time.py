"""Seconds that planning takes; they must not grow with the number of steps.

    python tests/benchmarks/planning_time.py [--repeats 3]

For `S` slots and `n` steps; writes and reads take `w`, in units of a step. *File*: leaves of one
step. *No file*: the same without. *Tapes*: with a file, and tapes that may be kept. *Leaves*: with
a file, leaves of any size, and tapes that are as large as the states that they come from. The best
of a few repetitions counts. What takes longer than is promised is marked.
"""

import argparse
import time

from adjoint.planning.budget import Budget, Room, leaf_sizes
from adjoint.planning.planner import choose
from adjoint.schedules.costs import Costs

PROMISED = 0.3
"""Seconds for a million steps."""

STATE = 1 << 20
SIZES = [10**k for k in range(3, 10)]
SLOTS = (4, 16, 64, 200)
TRANSFERS = (0.3, 10.0, 50.0, 1000.0)
KINDS = ("no file", "file", "tapes", "leaves")


def budget(kind: str, num_steps: int, num_slots: int) -> Budget:
    """Return what may be used."""
    if kind == "leaves":
        memory, sizes = STATE * (num_slots + 1), leaf_sizes(num_steps, None)
        room = Room.of(sizes, memory, STATE, lambda k, _kept: k * STATE)
        return Budget.of(num_steps, memory, [room], file_states=num_steps)
    tapes = {1: 1} if kind == "tapes" else {}
    return Budget({1: num_slots}, 0 if kind == "no file" else num_steps, tapes)


def seconds(kind: str, num_steps: int, num_slots: int, transfer: float, repeats: int) -> float:
    """Return what planning takes, at best."""
    costs = Costs(advance=1, pull_back=2, write=transfer, read=transfer)
    if kind in {"tapes", "leaves"}:
        costs = Costs(advance=1, unreached=1, pull_back=1, write=transfer, read=transfer)
    room = budget(kind, num_steps, num_slots)
    best = float("inf")
    for _repeat in range(repeats):
        began = time.perf_counter()
        choose(num_steps, costs, room)
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"{'':8}{'S':>4}{'w':>6}" + "".join(f"{f'n={n:.0e}':>9}" for n in SIZES))
    for kind in KINDS:
        for slots in SLOTS:
            for transfer in TRANSFERS if kind != "no file" else TRANSFERS[:1]:
                row = [seconds(kind, n, slots, transfer, repeats) for n in SIZES]
                cells = [f"{value:.3f}{'*' if value > PROMISED else ' '}" for value in row]
                shown = "".join(f"{cell:>9}" for cell in cells)
                print(f"{kind:8}{slots:4}{transfer:6g}{shown}", flush=True)
    print(f"*: more than the {PROMISED} s that are promised for a million steps")


if __name__ == "__main__":
    main()
