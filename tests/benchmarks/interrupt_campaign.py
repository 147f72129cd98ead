"""Calls that a signal interrupts at random instructions or moments of small runs.

    python tests/benchmarks/interrupt_campaign.py [--count 10000] [--seed 0] [--case file mpi]

A handler raises there, as Ctrl-C does, in a third of the runs twice. Later calls of the same
`Functional` must be right, and nothing may be left after `close`. Prints how the calls ended; exit
code 1 if something hangs or is wrong. Needs a C compiler; "mpi" also mpi4py.
"""

import argparse
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "oracles")]

import interrupt_forks  # noqa: E402
from tqdm import tqdm  # noqa: E402


def main():
    """Run the campaign; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", nargs="*", default=interrupt_forks.CASES)
    parser.add_argument("--at-once", type=int, default=2, help="processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="adjoint-interrupts-") as folder:
        with interrupt_forks.Forks(Path(folder) / "count") as forks:
            numbers = interrupt_forks.numbers_of_instructions(forks, options.case)
        points = interrupt_forks.drawn(numbers, options.count, options.seed)

        def share(number):
            with interrupt_forks.Forks(Path(folder) / f"forks-{number}") as forks:
                mine = tqdm(points[number :: options.at_once], position=number)
                return [told(point, forks.play(point)) for point in mine]

        with ThreadPoolExecutor(options.at_once) as pool:
            outcomes = [each for part in pool.map(share, range(options.at_once)) for each in part]
    table = Counter((point.call, end["caught"] or end["end"]) for point, end in outcomes)
    for (call, caught), count in sorted(table.items()):
        print(f"{call:>7} {caught:>20}{count:9,}")
    return int(any(end["trouble"] for _, end in outcomes))


def told(point, end):
    """Return both; print them at once if something is wrong."""
    if end["trouble"]:
        tqdm.write(f"{point} {end['end']}: {end['trouble']}")
    return point, end


if __name__ == "__main__":
    sys.exit(main())
