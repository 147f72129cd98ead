"""What plans reach, over what keeping every state would take, beside the schedules of others.

    PYTHONPATH=tests/oracles python tests/benchmarks/makespan_table.py [--steps 1e3 1e4 1e5 1e6]

Makespan over *ideal*, ``(n - 1) u_f + n u_b``, with ``u_b = 2 u_f`` and reads that take as long as
writes, `w`, for `S` slots. Each cell has a figure for every number of steps. *Tapes*: the same, but
recording takes a step, half of `u_b`, which a kept tape saves; that takes one slot.

Revolve, the paper's scheme and disk-Revolve are reckoned exactly; plans are taken through their own
virtual clock, or are played by `adjoint.replay` where they have none. A few minutes.
"""

import argparse
from dataclasses import replace

from baselines import STAGING, baselines, makespan
from random_configurations import Configuration

from adjoint.planning.planner import compare

PULL_BACK = 2.0
CELLS = ((4, 0.5), (4, 10), (4, 50), (4, 200), (16, 10), (16, 50), (16, 200), (64, 50), (64, 200))
COLUMNS = ("Revolve", "disk-Revolve", "the paper's", "plan", "plan, tapes")


def over_ideal(seconds: float, num_steps: int) -> float:
    """Return a makespan over that of keeping every state."""
    return seconds / (num_steps - 1 + num_steps * PULL_BACK)


def planned(configuration: Configuration) -> float:
    """Return the makespan of the plan over ideal."""
    n = configuration.num_steps
    plan = compare(n, configuration.costs, configuration.budget)[0]
    return over_ideal(makespan(plan.schedule, configuration), n)


def row(num_steps: int, num_slots: int, transfer: float) -> list[float]:
    """Return all columns for one number of steps."""
    cell = Configuration(num_steps, num_slots, transfer, transfer, PULL_BACK)
    found = baselines(cell)
    names = ("Revolve", "DiskRevolve", f"Asynchronous, staging {STAGING[0]}")
    others = [over_ideal(found[name], num_steps) for name in names]
    return [*others, planned(cell), planned(replace(cell, with_tapes=True))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=float, nargs="+", default=[1e3, 1e4, 1e5, 1e6])
    sizes = [int(steps) for steps in parser.parse_args().steps]
    width = 6 * len(sizes) + 2
    print(f"makespan / ideal at n = {', '.join(f'{n:,}' for n in sizes)}")
    print(f"{'S':>3}{'w/u_f':>7}" + "".join(f"{name:>{width}}" for name in COLUMNS))
    for slots, transfer in CELLS:
        rows = [row(n, slots, transfer) for n in sizes]
        cells = ["/".join(f"{value:.3f}" for value in column) for column in zip(*rows, strict=True)]
        print(f"{slots:3}{transfer:7g}" + "".join(f"{cell:>{width}}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
