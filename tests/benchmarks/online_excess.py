"""How many more steps `Online` advances than Revolve, which knows where the run ends.

    python tests/benchmarks/online_excess.py [--steps 1e6] [--slots 3 10 50]

For runs that end anywhere, up to so many steps, and by decades: the excess in per cent of t(n, s),
the mean and the largest over all ends, the end where it is largest, and how many states the forward
sweep stores per step. Counted, not timed; about a second for every million ends.
"""

import argparse
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from adjoint.schedules.online_placement import placements
from adjoint.schedules.revolve import beta, minimal_advances


def optima(num_slots: int) -> Iterator[int]:
    """Yield t(1, s), t(2, s), …; each is the one before and the repetitions of its last step."""
    total, repeats, steps = 0, 0, 1
    while True:
        for _ in range(steps, beta(num_slots, repeats) + 1):
            total += repeats if steps > 1 else 0
            yield total
            steps += 1
        repeats += 1


def online_advances(num_slots: int) -> Iterator[tuple[int, int]]:
    """Yield, for runs of 1, 2, … steps, what `Online` advances and how many states it stored."""
    kept, t = [0], lru_cache(4096)(minimal_advances)
    reached, stored = 0, 1
    for leaf, _given_up in placements(kept, num_slots):
        lengths = [stop - start for start, stop in pairwise(kept)]
        settled = sum(t(length, num_slots - i) for i, length in enumerate(lengths))
        slots = num_slots - len(kept) + 1
        for end in range(reached + 1, leaf + 1):
            yield end + settled + t(end - kept[-1], slots), stored
        reached, stored = leaf, stored + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=float, default=1e6)
    parser.add_argument("--slots", type=int, nargs="+", default=[3, 10, 50])
    given = parser.parse_args()
    print(f"{'slots':>5}{'ends in':>22}{'mean %':>9}{'largest %':>11}{'at':>9}{'stores/step':>13}")
    for slots in given.slots:
        both = zip(online_advances(slots), optima(slots), strict=False)
        total, largest, where, first = 0.0, -1.0, 0, 10
        for end, ((found, stored), optimum) in enumerate(both, start=1):
            if end <= 10:
                continue
            excess = 100 * (found / optimum - 1)
            total += excess
            if excess > largest:
                largest, where = excess, end
            if end == 10 * first:
                mean = total / (end - first)
                row = f"{slots:5}{f'({first:,}, {end:,}]':>22}{mean:9.2f}{largest:11.2f}{where:9,}"
                print(f"{row}{stored / end:13.3f}", flush=True)
                total, largest, first = 0.0, -1.0, end
            if end >= given.steps:
                break


if __name__ == "__main__":
    main()
