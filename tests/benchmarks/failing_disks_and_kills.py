"""Hundreds of gradients on failing disks, and of runs that are killed and resumed.

    python tests/benchmarks/failing_disks_and_kills.py [--disks 200] [--kills 100] [--seed 0]

Every one must end, within its timeout, in the very bits of the gradient for which all states were
kept in memory. Exit code 1 if one does not. Run it with the Python of an environment that has
mpirun beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "oracles")]

from disk_faults import failed  # noqa: E402
from fault_run import communicator  # noqa: E402
from kill_campaign import Campaign  # noqa: E402
from tqdm import tqdm  # noqa: E402

AT_ONCE = 10
"""Gradients in one start of mpirun."""

SECONDS_EACH = 60


def main():
    """Run the campaign; return the exit code."""
    options = parsed()
    if options.within:
        return within(options)
    wrong = []
    with tempfile.TemporaryDirectory(prefix="adjoint-campaign-") as folder:
        told = failing_disks(options, Path(folder))
        wrong += [line for line in told if not line["ok"]]
        campaign = Campaign(folder, options.mpirun)
        seeds = range(options.seed, options.seed + options.kills)
        kills = [campaign.run(seed) for seed in tqdm(seeds, "kills")]
        wrong += [outcome for outcome in kills if not outcome.ok]
    print(f"failing disks: {len(told)}, by ranks {dict(Counter(line['ranks'] for line in told))}")
    print(f"  states lost and recomputed: {sum(line['lost'] for line in told)}")
    print(f"kills: {len(kills)}, by kind {dict(Counter(outcome.kind for outcome in kills))}")
    print(f"  attempts: {sum(outcome.attempts for outcome in kills)}")
    phases = Counter(place.partition(",")[0] for outcome in kills for place in outcome.resumed)
    print(f"  resumed in: {dict(phases)}")
    print(f"not the right bits, or no end: {len(wrong)}")
    for outcome in wrong:
        print(" ", outcome)
    return int(bool(wrong))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--disks", type=int, default=200, help="gradients on failing disks")
    parser.add_argument("--kills", type=int, default=100, help="runs that are killed")
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--seed", type=int, default=0)
    beside = Path(sys.executable).with_name("mpirun")
    parser.add_argument("--mpirun", default=str(beside) if beside.exists() else "mpirun")
    parser.add_argument("--within", nargs=3, metavar=("FOLDER", "FROM", "TO"), help="a part of it")
    return parser.parse_args()


def failing_disks(options, folder):
    """Return what became of each gradient on a failing disk."""
    told = []
    starts = range(options.seed, options.seed + options.disks, AT_ONCE)
    for number, start in enumerate(tqdm(starts, "failing disks")):
        ranks = options.ranks[number % len(options.ranks)]
        stop = min(start + AT_ONCE, options.seed + options.disks)
        command = [sys.executable, __file__, "--within", str(folder), str(start), str(stop)]
        if ranks > 1:
            command = [options.mpirun, "-n", str(ranks), *command]
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS_EACH * AT_ONCE,
                check=False,
            )
            lines = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
            trouble = done.stdout[-2000:]
        except subprocess.TimeoutExpired as hang:
            lines, trouble = [], f"no end: {hang}"
        missing = {"seed": [start, stop], "ranks": ranks, "ok": False, "lost": 0, "why": trouble}
        told += lines if len(lines) == stop - start else [*lines, missing]
    return told


def within(options):
    """Run some gradients, perhaps under mpirun; print a line of JSON for each."""
    folder, start, stop = Path(options.within[0]), *map(int, options.within[1:])
    comm = communicator()
    rank, ranks = (0, 1) if comm is None else (comm.Get_rank(), comm.Get_size())
    references = {}
    for seed in range(start, stop):
        own = folder / f"disk-{seed}"
        if rank == 0:
            own.mkdir()
        if comm is not None:
            comm.Barrier()
        trouble, name, faults, report = failed(seed, comm, own, references)
        if rank == 0:
            line = {"seed": seed, "ranks": ranks, "ok": trouble is None, "why": trouble}
            line |= {"schedule": name, "faults": repr(faults), "lost": len(report.lost_states)}
            print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
