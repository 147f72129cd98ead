"""How long a gradient takes, over the bare computation: shallow water, memory for 32 states.

    python tests/benchmarks/speed_against_bare.py [--megabytes 0.25 2 16] [--steps 2000]

*Bare* is what any gradient must compute: every step advanced once in place, and every step
recorded and pulled back once, at a fixed state, warm, nothing kept. All figures of a row are taken
in one run, interleaved, each the best of its repeats; columns are ratios to bare:

revolve    Revolve, leaves of one step
leaves     what the planner does without a file
file       what the planner does with one
chosen     the schedule it chose then
"""

import argparse
import tempfile
import time

from closed_basin import closed_basin

import adjoint
from adjoint.schedules import Revolve

STATES = 32


def bare_seconds(stepper, num_steps: int) -> tuple[float, float]:
    """Return the seconds of advancing, and of recording and pulling back single steps."""
    stepper.start()
    stepper.advance(0, min(20, num_steps))
    began = time.perf_counter()
    stepper.advance(0, num_steps)
    advanced = time.perf_counter() - began
    for array in stepper.adjoint.values():
        array[...] = 0
    stepper.record(0, 1, reach_stop=False)
    stepper.pull_back(0, 1)
    began = time.perf_counter()
    for _ in range(num_steps):
        stepper.record(0, 1, reach_stop=False)
        stepper.pull_back(0, 1)
    return advanced, time.perf_counter() - began


def seconds(functional: adjoint.Functional) -> float:
    """Return the time of one gradient, planning not included."""
    functional.value_and_gradient()
    report = functional.report
    assert report is not None
    return report.forward_seconds + report.reverse_seconds


def measure(megabytes: float, num_steps: int, folder: str, repeats: int) -> None:
    stepper = closed_basin(int(megabytes * 1e6))
    state = sum(array.nbytes for array in stepper.state.values())
    memory = STATES * state
    ways = {
        "revolve": {"schedule": Revolve(num_steps, STATES)},
        "leaves": {"memory": memory},
        "file": {"memory": memory, "file": folder},
    }
    best: dict[str, float] = {}
    chosen = ""
    for _ in range(repeats):
        advanced, reversed_ = bare_seconds(stepper, num_steps)
        best["bare"] = min(best.get("bare", 1e9), advanced + reversed_)
        for name, options in ways.items():
            with adjoint.Functional(stepper, num_steps, **options) as functional:
                functional.plan()  # measures before the clock starts
                best[name] = min(best.get(name, 1e9), seconds(functional))
                chosen = repr(functional.schedule) if name == "file" else chosen
    ratios = "".join(f"{best[name] / best['bare']:10.2f}" for name in ways)
    print(f"{state / 1e6:9.2f}{best['bare']:9.2f}{ratios}   {chosen}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.25, 2.0, 16.0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    given = parser.parse_args()
    print(f"{given.steps} steps of shallow water, memory for {STATES} states; times over bare")
    print(f"{'state MB':>9}{'bare s':>9}{'revolve':>10}{'leaves':>10}{'file':>10}   chosen")
    for megabytes in given.megabytes:
        measure(megabytes, given.steps, given.folder, given.repeats)


if __name__ == "__main__":
    main()
