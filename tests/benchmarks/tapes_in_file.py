"""How long a gradient takes whose tapes go to the file, over the same with states alone in it.

    python tests/benchmarks/tapes_in_file.py [FOLDER] [--rounds 5]

A GRU in NumPy and Crank-Nicolson on PETSc, with memory for a few tapes. The file is in FOLDER, by
default that of temporary files. Each round takes one evaluation of each way, in random order, after
one that is not counted; figures are medians over rounds, of seconds and of ratios within a round:

memory     what the planner does without a file
states     with a file, of a stepper that does not hand its tapes over
tapes      with a file; then the schedule that it chose, and whether all bits are the same
"""

import argparse
import importlib.util
import random
import statistics
import tempfile
from contextlib import ExitStack
from typing import Any

from plan_campaign.models import MODELS

import adjoint

CASES = (
    # model, bytes of a state, steps, leaf, memory in states
    ("GRU", 32_768, 1000, 32, 800),
    ("Crank-Nicolson", 65_536, 400, None, 60),
)


class Absent:
    """An attribute that is not there."""

    def __get__(self, stepper: object, kind: type) -> None:
        raise AttributeError


def make(name: str, state_bytes: int, num_steps: int, leaf: int | None, *, shows: bool) -> Any:
    """Return a stepper, with tapes that it hands over or not."""
    stepper = MODELS[name].make(state_bytes, num_steps, None, leaf)
    if not shows:
        kind = type(stepper)
        stepper.__class__ = type(kind.__name__, (kind,), {"tape_pieces": Absent()})
    return stepper


def measure(case: tuple[str, int, int, int | None, int], folder: str, rounds: int) -> None:
    """Print a row."""
    name, state_bytes, num_steps, leaf, states = case
    options: dict[str, Any] = {"memory": states * state_bytes}
    ways = {"memory": (True, {}), "states": (False, {"file": folder})}
    ways["tapes"] = (True, {"file": folder})
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    bits = set[tuple[Any, ...]]()
    with ExitStack() as opened:
        runs = {
            way: opened.enter_context(
                adjoint.Functional(
                    make(name, state_bytes, num_steps, leaf, shows=shows),
                    num_steps,
                    **options,
                    **file,
                )
            )
            for way, (shows, file) in ways.items()
        }
        for count in range(rounds + 1):
            for way in random.sample(list(runs), len(runs)):
                cost, gradient = runs[way].value_and_gradient()
                bits.add((cost, *(array.tobytes() for array in gradient.values())))
                report = runs[way].report
                assert report is not None
                if count:
                    seconds[way].append(report.forward_seconds + report.reverse_seconds)
        chosen = runs["tapes"].schedule
    times = "".join(f"{statistics.median(seconds[way]):9.2f}" for way in ways)
    ratio = statistics.median(
        tapes / others for tapes, others in zip(seconds["tapes"], seconds["states"], strict=True)
    )
    same = "same bits" if len(bits) == 1 else "OTHER BITS"
    print(f"{name:>15}{times}{ratio:14.2f}   {chosen}; {same}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{'':>15}   memory   states    tapes tapes / states")
    for case in CASES:
        if importlib.util.find_spec(MODELS[case[0]].needs) is None:
            print(f"{case[0]:>15} left out: there is no {MODELS[case[0]].needs}")
        else:
            measure(case, options.folder, options.rounds)


if __name__ == "__main__":
    main()
