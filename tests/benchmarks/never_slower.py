"""Whether plans keep their promise: never slower than what they are chosen from.

    PYTHONPATH=tests/oracles python tests/benchmarks/never_slower.py [--count 10000] [--seed 0]
        [--max-steps 100000] [--processes 1] [--by-clock]
    PYTHONPATH=tests/oracles python tests/benchmarks/never_slower.py --optimum 300

Configurations are drawn at random, one for every seed from `--seed` on, so that a campaign can be
gone on with, or be divided. For each the plan is made, its schedule is played by `adjoint.replay`,
which also finds whether it is right, and its makespan is compared with every baseline's. Where it
is larger that is a violation: it is printed, with all that it takes to look at it. Every 500
configurations, and at the end, comes a summary. With `--by-clock` only short runs and one in twenty
of the long ones are replayed: the others are timed by the schedule's own virtual clock, or in
closed form, which the tests hold against replay; that takes a third of the time.

With `--optimum` runs have up to 12 steps and are compared with the least makespan that any schedule
can have.
"""

import argparse
import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from baselines import baselines, makespan
from exhaustive_optimum import optimum
from random_configurations import Configuration, configuration, small_configuration
from tqdm import tqdm

from adjoint.planning.planner import compare
from adjoint.simulation.replay import price

ROUNDING = 1e-9
EVERY = 500

SHORT = 2_000
"""Runs of so few steps are replayed even by `--by-clock`."""

REPLAYED = 20
"""With it, one in so many longer runs is replayed; the others are timed by `baselines.makespan`."""


@dataclass(frozen=True)
class Outcome:
    """A plan, held against the best of what it must not be slower than."""

    seed: int
    configuration: Configuration
    schedule: str
    family: str
    predicted: float
    played: float
    rival: str
    bound: float
    planning_seconds: float
    baselines: dict[str, float]

    @property
    def excess(self) -> float:
        """The share of time lost to the rival; negative where the plan is faster."""
        return self.played / self.bound - 1

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was played."""
        return self.predicted / self.played - 1

    @property
    def violations(self) -> list[str]:
        return [
            name for name, time in self.baselines.items() if self.played > time * (1 + ROUNDING)
        ]

    def __str__(self) -> str:
        c = self.configuration
        return (
            f"seed {self.seed}: {100 * self.excess:.4f} % slower than {self.rival}\n"
            f"  n={c.num_steps} S={c.num_slots} w={c.write:.6g} r={c.read:.6g} "
            f"u_b={c.pull_back:.6g}\n"
            f"  chosen: {self.schedule}\n"
            f"  predicted {self.predicted:.6f}, played {self.played:.6f}, "
            f"{self.rival} {self.bound:.6f}"
        )


@dataclass(frozen=True)
class Failure:
    """A configuration that no plan was made for, or a plan that is not a correct reversal."""

    seed: int
    trace: str

    def __str__(self) -> str:
        return f"seed {self.seed}: FAILED\n{self.trace}"


def caught(run: Callable[[int], Outcome], seed: int) -> Outcome | Failure:
    """Return the outcome, or what went wrong: a campaign goes on to its end."""
    try:
        return run(seed)
    except Exception:
        return Failure(seed, traceback.format_exc())


def against_baselines(seed: int, max_steps: int, *, by_clock: bool) -> Outcome:
    """Plan and play one configuration; hold it against the baselines."""
    drawn = configuration(seed, max_steps=max_steps)
    return _outcome(seed, drawn, baselines(drawn), by_clock=by_clock)


def against_optimum(seed: int) -> Outcome:
    """Plan and play one small configuration; hold it against the optimum."""
    c = small_configuration(seed)
    least = optimum(c.num_steps, c.num_slots, u_f=1, u_b=c.pull_back, w=c.write, r=c.read)
    return _outcome(seed, c, {"the optimum": least})


def _outcome(
    seed: int, drawn: Configuration, rivals: dict[str, float], *, by_clock: bool = False
) -> Outcome:
    n, costs = drawn.num_steps, drawn.costs
    began = time.perf_counter()
    plan = compare(n, costs, drawn.budget)[0]
    planning_seconds = time.perf_counter() - began
    if by_clock and n > SHORT and seed % REPLAYED:
        played = makespan(plan.schedule, drawn)
    else:
        played = price(
            plan.schedule, costs, num_steps=n, num_slots=drawn.num_slots, file_states=n
        ).makespan
    rival = min(rivals, key=lambda name: rivals[name])
    return Outcome(
        seed,
        drawn,
        repr(plan.schedule),
        plan.family,
        plan.predicted_seconds,
        played,
        rival,
        rivals[rival],
        planning_seconds,
        rivals,
    )


class Summary:
    """What came of the configurations so far."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.failures: list[Failure] = []

    def add(self, outcome: Outcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.failures.append(outcome)
        else:
            self.outcomes.append(outcome)

    @property
    def count(self) -> int:
        return len(self.outcomes) + len(self.failures)

    def print(self, *, worst: int = 0) -> None:
        """Print it, and so many of the plans with the largest excess."""
        found = self.outcomes
        slower = Counter(name for outcome in found for name in outcome.violations)
        families = Counter(outcome.family for outcome in found)
        tqdm.write(
            f"\n{self.count} configurations, from seed {min(outcome.seed for outcome in found)}\n"
            f"failed: {[failure.seed for failure in self.failures]}\n"
            f"slower than a baseline: {sum(bool(outcome.violations) for outcome in found)} "
            f"{dict(slower)}\n"
            f"chosen: {dict(families.most_common())}\n"
            f"against the best baseline, per cent: {self._spread(lambda o: 100 * o.excess)}\n"
            f"error of the prediction, per cent: {self._spread(lambda o: 100 * abs(o.error))}\n"
            f"planning, seconds: {self._spread(lambda o: o.planning_seconds)}"
        )
        for outcome in sorted(found, key=lambda o: -o.excess)[:worst]:
            tqdm.write(str(outcome))

    def _spread(self, measure: Callable[[Outcome], float]) -> str:
        found = [(measure(outcome), outcome.seed) for outcome in self.outcomes]
        worst, seed = max(found)
        mean = sum(value for value, _seed in found) / len(found)
        return f"mean {mean:.4f}, worst {worst:.4f} (seed {seed})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-steps", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--by-clock", action="store_true")
    parser.add_argument("--optimum", type=int, metavar="COUNT", default=0)
    given = parser.parse_args()
    count = given.optimum or given.count
    run = partial(against_baselines, max_steps=given.max_steps, by_clock=given.by_clock)
    if given.optimum:
        run = against_optimum
    seeds = range(given.seed, given.seed + count)
    summary = Summary()
    with multiprocessing.Pool(given.processes) as pool:
        found = pool.imap(partial(caught, run), seeds, chunksize=4)
        for outcome in tqdm(found, total=count, smoothing=0):
            summary.add(outcome)
            if isinstance(outcome, Failure) or (outcome.violations and not given.optimum):
                tqdm.write(str(outcome))
            if summary.count % EVERY == 0:
                summary.print()
    summary.print(worst=10 if given.optimum else 0)


if __name__ == "__main__":
    main()
