"""Which errors of a gradient `taylor_test` finds, and how often it is wrong about a right one.

    python tests/benchmarks/gradient_test_power.py [num_seeds]

An error of a relative size is planted in one part of a right gradient, a control or the initial
state. The table has the share of seeds in which the default call finds it, for each precision and
the part where that is smallest; beside it the largest error estimate that a call printed for the
part. Below are the verdicts on right gradients, of ten times as many seeds.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "oracles"))

from planted_errors import PROBLEMS, Planted

import adjoint
from adjoint.schedules import StoreAll
from adjoint.verification import TaylorResult, taylor_test

ERRORS = [10.0**-k for k in range(1, 7)]


def tested(stepper: Planted, seed: int) -> TaylorResult:
    """Return the result of the default call."""
    schedule = StoreAll(stepper.num_steps)
    with adjoint.Functional(stepper, stepper.num_steps, schedule=schedule) as functional:
        return taylor_test(functional, seed=seed)


def power(problem: type[Planted], dtype: type, part: str, num_seeds: int) -> None:
    """Print one line of the table: how often each error was found in a part."""
    shares, estimates, missed = [], [], 0
    for error in ERRORS:
        found = 0
        for seed in range(num_seeds):
            stepper = problem.make(dtype)
            stepper.planted = part, error if seed % 2 else -error
            result = tested(stepper, seed)
            name = part if part == "initial state" else f"control {part!r}"
            (comparison,) = (c for c in result.parts if c.part == name)
            found += comparison.verdict == "wrong"
            estimates.append(comparison.relative_error)
            missed += error > 10 * estimates[-1] and comparison.verdict != "wrong"
        shares.append(f"{found}/{num_seeds}")
    line = "".join(f"{share:>8}" for share in shares)
    where = f"{np.dtype(dtype).name} {problem.__name__}, {part}"
    print(f"{where:32}{line}{max(estimates):12.0e}{missed:8}", flush=True)


def main(num_seeds: int) -> None:
    header = "".join(f"{error:8.0e}" for error in ERRORS)
    print(f"{'planted':32}{header}{'estimate':>12}{'missed':>8}")
    for dtype in (np.float64, np.float32):
        for problem in PROBLEMS:
            for part in problem.parts(dtype):
                power(problem, dtype, part, num_seeds)
    print("\nmissed: errors above ten times the printed estimate that were not found\n")
    for dtype in (np.float64, np.float32):
        for problem in PROBLEMS:
            results = [tested(problem.make(dtype), seed) for seed in range(10 * num_seeds)]
            verdicts = dict(Counter(result.verdict for result in results))
            estimate = max(result.error_estimate for result in results)
            where = f"right, {np.dtype(dtype).name} {problem.__name__}"
            print(f"{where}: {verdicts}, largest estimate {estimate:.0e}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
