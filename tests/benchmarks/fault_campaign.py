"""System calls that fail, fall short or kill the process, at every place of small runs.

    python tests/benchmarks/fault_campaign.py [--count 10000] [--seed 0] [--engine thread direct]
    python tests/benchmarks/fault_campaign.py --ranks 2 [--count 60] [--engine thread mpi]

One process: a fault at each call of runs that begin, and of runs that resume a killed one, or as
many of these as `--count` says. On ranks: at random calls of random ranks. Each run is then resumed
without a fault. Prints how they ended; exit code 1 if one hangs, has other bits, ends in anything
but an error of this package, or is not right after its resume. Needs Linux and a C compiler.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "oracles")]

import fault_forks  # noqa: E402
import fault_ranks  # noqa: E402
from tqdm import tqdm  # noqa: E402

ENDS = (fault_forks.RIGHT, fault_forks.REFUSED, fault_forks.KILLED, "wrong", "hang")


def main():
    """Run the campaign; return the exit code."""
    options = parsed()
    with tempfile.TemporaryDirectory(prefix="adjoint-faults-") as folder:
        play = on_ranks if options.ranks > 1 else in_forks
        outcomes = list(tqdm(play(options, Path(folder)), "faults"))
    table = Counter((point.fault, outcome.end) for point, outcome in outcomes)
    print("".join(f"{word:>9}" for word in ("fault", *ENDS)))
    for fault in fault_forks.FAULTS:
        print(f"{fault:>9}" + "".join(f"{table[fault, end]:9,}" for end in ENDS))
    return int(any(outcome.trouble for _, outcome in outcomes))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, help="10,000, on ranks 60")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--engine", nargs="*", help="thread and direct, on ranks thread and mpi")
    parser.add_argument("--minutes", type=float, default=600, help="play no further ones after")
    parser.add_argument("--at-once", type=int, default=2, help="processes, if not on ranks")
    beside = Path(sys.executable).with_name("mpirun")
    parser.add_argument("--mpirun", default=str(beside) if beside.exists() else "mpirun")
    return parser.parse_args()


def in_forks(options, folder):
    """Yield the points of one process, and what became of them."""
    runs = fault_forks.every_run(options.engine or ("thread", "direct"))
    with fault_forks.Forks(folder / "count") as forks:
        numbers = {run: forks.number_of_calls(run) for run in runs}
    print(f"calls: {sum(numbers.values()):,} in {len(runs)} runs")
    points = fault_forks.every_point(runs, numbers)
    points = fault_forks.drawn(points, options.count or 10_000, options.seed)

    def share(number):
        with fault_forks.Forks(folder / f"forks-{number}") as forks:
            bar = tqdm(points[number :: options.at_once], f"process {number}", position=number)
            stop = time.monotonic() + 60 * options.minutes
            return [told(point, forks.play(point)) for point in bar if time.monotonic() < stop]

    with ThreadPoolExecutor(options.at_once) as pool:
        for outcomes in pool.map(share, range(options.at_once)):
            yield from outcomes


def on_ranks(options, folder):
    """Yield random points of runs on ranks, and what became of them."""
    campaign = fault_ranks.Campaign(folder, options.mpirun, options.ranks)
    engines = options.engine or ("thread", "mpi")
    for seed in range(options.seed, options.seed + (options.count or 60)):
        yield told(*campaign.play(seed, engines))


def told(point, outcome):
    """Return both; print them at once if something is wrong."""
    if outcome.trouble:
        tqdm.write(f"{point} {outcome.end}: {outcome.trouble}")
    return point, outcome


if __name__ == "__main__":
    sys.exit(main())
